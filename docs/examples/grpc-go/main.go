// Command pods makes a pod in a batch and watches it, over Mainstay's gRPC API.
//
//	protoc -I proto --go_out=. --go-grpc_out=. \
//	  --go_opt=Mmainstay/api.proto=example/api --go_opt=module=example \
//	  --go-grpc_opt=Mmainstay/api.proto=example/api --go-grpc_opt=module=example mainstay/api.proto
//	go run . 127.0.0.1:6443 ca.crt TOKEN
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"example/api"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(address, caFile, token string) error {
	tls, err := credentials.NewClientTLSFromFile(caFile, "")
	if err != nil {
		return err
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(tls))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	objects := api.NewObjectsClient(connection)
	pods := &api.Target{Version: "v1", Resource: "pods", Namespace: "default"}

	list, err := objects.List(ctx, &api.ListRequest{Target: pods})
	if err != nil {
		return err
	}
	count, revision := 0, ""
	for {
		chunk, err := list.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		count, revision = count+len(chunk.Objects), chunk.ResourceVersion
	}
	fmt.Println("pods:", count)

	pod := []byte(`{"metadata":{"name":"example-go"},"spec":{"containers":[{"name":"web","image":"nginx"}]}}`)
	one := &api.Target{Version: "v1", Resource: "pods", Namespace: "default", Name: "example-go"}
	// Pods want the service account "default", which a cluster's controllers make; here there may be none.
	accounts := &api.Target{Version: "v1", Resource: "serviceaccounts", Namespace: "default"}
	account := []byte(`{"metadata":{"name":"default"}}`)
	now := int64(0)
	writes := [][]*api.Write{
		{{Write: &api.Write_Create{Create: &api.CreateRequest{Target: accounts, Object: account}}}},
		{{Write: &api.Write_Create{Create: &api.CreateRequest{Target: pods, Object: pod}}}, {}},
		{{Write: &api.Write_Delete{Delete: &api.DeleteRequest{
			Target: one, Options: &api.DeleteOptions{GracePeriodSeconds: &now}}}}},
	}
	for _, some := range writes {
		answer, err := objects.Batch(ctx, &api.BatchRequest{Writes: some})
		if err != nil {
			return err
		}
		for _, outcome := range answer.Outcomes {
			switch {
			case outcome.GetFailure() != nil:
				fmt.Println("failed:", outcome.GetFailure().Reason, outcome.GetFailure().Message)
			case outcome.GetWritten() != nil:
				fmt.Println("written:", outcome.GetWritten().Name)
			default:
				fmt.Println("gone:", outcome.GetDeleted().GetGone())
			}
		}
	}

	watch, err := objects.Watch(ctx, &api.WatchRequest{Target: pods, ResourceVersion: revision})
	if err != nil {
		return err
	}
	for {
		response, err := watch.Recv()
		if err != nil {
			return err
		}
		for _, event := range response.Events {
			fmt.Println(event.Type, "at", event.ResourceVersion)
			if event.Type == api.EventType_EVENT_TYPE_DELETED {
				return nil
			}
		}
	}
}
