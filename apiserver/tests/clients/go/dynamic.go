// Discovery, and calls for kinds that a program learns of while it runs: dynamic, of metadata alone, and of scales.

package main

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

func dynamically(ctx context.Context, config *rest.Config, namespace string) error {
	found, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	cached := memory.NewMemCacheClient(found)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	var resource schema.GroupVersionResource
	err = changing(func() (err error) {
		resource, err = mapper.ResourceFor(schema.GroupVersionResource{Resource: "deploy"})
		return err
	})
	if err != nil {
		return err
	}
	if err := want(resource == schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}, "%v", resource); err != nil {
		return err
	}
	var preferred []*metav1.APIResourceList
	err = changing(func() (err error) {
		preferred, err = found.ServerPreferredResources()
		return err
	})
	if err != nil {
		return err
	}
	if err := want(len(preferred) > 10, "%d groups", len(preferred)); err != nil {
		return err
	}
	mapping, err := mapper.RESTMapping(schema.GroupKind{Kind: "ConfigMap"}, "v1")
	if err != nil {
		return err
	}
	return unstructuredCalls(ctx, config, mapping.Resource, namespace)
}

func unstructuredCalls(ctx context.Context, config *rest.Config, resource schema.GroupVersionResource, namespace string) error {
	clients, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	objects := clients.Resource(resource).Namespace(namespace)
	apply := func(manager, value string, force bool) error {
		body := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": "dynamic", "labels": map[string]any{"a": "b"}},
			"data":     map[string]any{"value": value},
		}}
		return changing(func() error {
			_, err := objects.Apply(ctx, "dynamic", body, metav1.ApplyOptions{FieldManager: manager, Force: force})
			return err
		})
	}
	if err := apply("one", "1", false); err != nil {
		return err
	}
	conflict := apply("two", "2", false)
	if err := want(apierrors.IsConflict(conflict), "two managers own one field: %v", conflict); err != nil {
		return err
	}
	if err := apply("two", "2", true); err != nil {
		return err
	}
	var events watch.Interface
	err = changing(func() (err error) {
		events, err = objects.Watch(ctx, metav1.ListOptions{LabelSelector: "a=b"})
		return err
	})
	if err != nil {
		return err
	}
	defer events.Stop()
	first, open := <-events.ResultChan()
	// A server that is killed just now closes the stream.
	if faulty() || open {
		seen, _ := first.Object.(*unstructured.Unstructured)
		if err := want(seen != nil && seen.GetName() == "dynamic", "%v", first); err != nil {
			return err
		}
	}
	metas, err := metadata.NewForConfig(config)
	if err != nil {
		return err
	}
	var partial *metav1.PartialObjectMetadataList
	err = changing(func() (err error) {
		partial, err = metas.Resource(resource).Namespace(namespace).List(ctx, metav1.ListOptions{LabelSelector: "a=b"})
		return err
	})
	if err != nil {
		return err
	}
	if err := want(len(partial.Items) == 1 && partial.Items[0].Name == "dynamic", "%v", partial.Items); err != nil {
		return err
	}
	return deleting(func() error { return objects.Delete(ctx, "dynamic", metav1.DeleteOptions{}) })
}
