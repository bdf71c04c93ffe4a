// Command greetings is a controller with a kind of its own, over Mainstay's gRPC API: every Greeting has a ConfigMap that says it.
//
//	go run ./greetings 127.0.0.1:6443 ca.crt TOKEN greetings.json
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"

	"example/api"
)

type object = map[string]any

type greeting struct {
	Metadata struct{ Name, Namespace, UID string }
	Spec     struct{ To string }
}

// apply makes an object what it has to be, whether it is there or not.
func apply(ctx context.Context, objects api.ObjectsClient, target *api.Target, configuration []byte) error {
	options := &api.WriteOptions{FieldManager: "greeter"}
	_, err := objects.Apply(ctx, &api.ApplyRequest{Target: target, Configuration: configuration, Options: options, Force: true})
	return err
}

// decide tells the ConfigMap that a greeting has.
func decide(g *greeting) object {
	owner := object{"apiVersion": "example.com/v1", "kind": "Greeting", "controller": true, "name": g.Metadata.Name, "uid": g.Metadata.UID}
	return object{
		"apiVersion": "v1", "kind": "ConfigMap", "data": object{"text": fmt.Sprintf("Hello, %s!", g.Spec.To)},
		"metadata": object{"name": g.Metadata.Name, "ownerReferences": []object{owner}},
	}
}

func sync(ctx context.Context, objects api.ObjectsClient, text []byte) error {
	var g greeting
	if err := json.Unmarshal(text, &g); err != nil {
		return err
	}
	configuration, err := json.Marshal(decide(&g))
	if err != nil {
		return err
	}
	at := &api.Target{Version: "v1", Resource: "configmaps", Namespace: g.Metadata.Namespace, Name: g.Metadata.Name}
	fmt.Println("said", g.Metadata.Name)
	return apply(ctx, objects, at, configuration)
}

// follow deals with all greetings that there are, and with those that change, until something fails.
func follow(ctx context.Context, objects api.ObjectsClient) error {
	all := true
	greetings := &api.Target{Group: "example.com", Version: "v1", Resource: "greetings"}
	watch, err := objects.Watch(ctx, &api.WatchRequest{Target: greetings, InitialEvents: &all, Bookmarks: true})
	for err == nil {
		var response *api.WatchResponse
		if response, err = watch.Recv(); err != nil {
			break
		}
		for _, event := range response.Events {
			switch event.Type {
			case api.EventType_EVENT_TYPE_ADDED, api.EventType_EVENT_TYPE_MODIFIED:
				if err := sync(ctx, objects, event.Object); err != nil {
					return err
				}
			case api.EventType_EVENT_TYPE_ERROR:
				return fmt.Errorf("%s", event.Failure.Message)
			}
		}
	}
	return err
}

func run(address, caFile, token, definitionFile string) error {
	tls, err := credentials.NewClientTLSFromFile(caFile, "")
	if err != nil {
		return err
	}
	definition, err := os.ReadFile(definitionFile)
	if err != nil {
		return err
	}
	alive := grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second})
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(tls), alive)
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
	objects := api.NewObjectsClient(connection)
	definitions := &api.Target{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Name: "greetings.example.com",
	}
	if err := apply(ctx, objects, definitions, definition); err != nil {
		return err
	}
	for {
		// The kind is not served yet, the server is gone, or a write has failed: all greetings are looked at again.
		log.Println("again:", follow(ctx, objects))
		time.Sleep(500 * time.Millisecond)
	}
}

func main() {
	log.Fatal(run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]))
}
