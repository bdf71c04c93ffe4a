// A manager of controller-runtime with a small reconciler, whose objects follow a kind of our own.

package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	finalizer = "go.clients.example.com/last-word"
	colors    = "spec.color"
)

type reconciler struct {
	client.Client
	events events.EventRecorder
}

// Reconcile makes the ConfigMap of a widget and its status say the size that the widget is to have.
func (reconciler *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	widget := &Widget{}
	if err := reconciler.Get(ctx, request.NamespacedName, widget); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !widget.DeletionTimestamp.IsZero() {
		if controllerutil.RemoveFinalizer(widget, finalizer) {
			return ctrl.Result{}, reconciler.Update(ctx, widget)
		}
		return ctrl.Result{}, nil
	}
	if controllerutil.AddFinalizer(widget, finalizer) {
		return ctrl.Result{}, reconciler.Update(ctx, widget)
	}
	child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: widget.Name, Namespace: widget.Namespace}}
	done, err := controllerutil.CreateOrUpdate(ctx, reconciler.Client, child, func() error {
		child.Data = map[string]string{"size": strconv.FormatInt(widget.Spec.Size, 10)}
		return controllerutil.SetControllerReference(widget, child, reconciler.Scheme())
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	if done == controllerutil.OperationResultCreated {
		reconciler.events.Eventf(widget, child, corev1.EventTypeNormal, "Made", "Make", "made for size %d", widget.Spec.Size)
	}
	before := client.MergeFrom(widget.DeepCopyObject().(client.Object))
	widget.Status = WidgetStatus{Size: widget.Spec.Size, ObservedGeneration: widget.Generation}
	return ctrl.Result{}, reconciler.Status().Patch(ctx, widget, before)
}

func controlling(ctx context.Context, config *rest.Config, namespace string) error {
	definitions := envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{definition()}}
	err := changing(func() error {
		_, err := envtest.InstallCRDs(config, definitions)
		return err
	})
	if err != nil {
		return err
	}
	manager, err := managed(ctx, config, namespace)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(running) }()
	told := tell(ctx, manager, namespace)
	stop()
	if err := <-ended; err != nil {
		return err
	}
	if told != nil {
		return told
	}
	return changing(func() error { return envtest.UninstallCRDs(config, definitions) })
}

func managed(ctx context.Context, config *rest.Config, namespace string) (ctrl.Manager, error) {
	kinds := runtime.NewScheme()
	if err := scheme.AddToScheme(kinds); err != nil {
		return nil, err
	}
	kinds.AddKnownTypes(widgets, &Widget{}, &WidgetList{})
	metav1.AddToGroupVersion(kinds, widgets)
	var manager ctrl.Manager
	err := changing(func() (err error) {
		manager, err = ctrl.NewManager(config, ctrl.Options{
			Scheme:                        kinds,
			Metrics:                       server.Options{BindAddress: "0"},
			Cache:                         cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
			LeaderElection:                true,
			LeaderElectionID:              "widgets",
			LeaderElectionNamespace:       namespace,
			LeaderElectionReleaseOnCancel: true,
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	color := func(object client.Object) []string { return []string{object.(*Widget).Spec.Color} }
	err = changing(func() error { return manager.GetFieldIndexer().IndexField(ctx, &Widget{}, colors, color) })
	if err != nil {
		return nil, err
	}
	reconciler := &reconciler{manager.GetClient(), manager.GetEventRecorder("widgets")}
	return manager, ctrl.NewControllerManagedBy(manager).For(&Widget{}).Owns(&corev1.ConfigMap{}).
		Named(fmt.Sprintf("widgets-%d", time.Now().UnixNano())).Complete(reconciler)
}

// tell changes a widget and what belongs to it, and waits each time until the reconciler has followed.
func tell(ctx context.Context, manager ctrl.Manager, namespace string) error {
	clients, key := manager.GetClient(), client.ObjectKey{Namespace: namespace, Name: "w"}
	// It reads from the server.
	direct := manager.GetAPIReader()
	widget := &Widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "w"}, Spec: WidgetSpec{Size: 1}}
	if err := creating(func() error { return clients.Create(ctx, widget.DeepCopyObject().(*Widget)) }); err != nil {
		return err
	}
	follows := func(size int64) error {
		return awaited(fmt.Sprintf("size %d", size), func() (bool, error) {
			now, child := &Widget{}, &corev1.ConfigMap{}
			if err := direct.Get(ctx, key, now); err != nil {
				return false, err
			}
			if err := direct.Get(ctx, key, child); err != nil {
				return false, client.IgnoreNotFound(err)
			}
			is := WidgetStatus{Size: size, ObservedGeneration: now.Generation}
			return now.Status == is && child.Data["size"] == strconv.FormatInt(size, 10), nil
		})
	}
	resize := func(size int64) error {
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"size":%d}}`, size))
		return changing(func() error { return clients.Patch(ctx, widget.DeepCopyObject().(*Widget), patch) })
	}
	if err := follows(1); err != nil {
		return err
	}
	for turn, what := range []string{"cut", "kill"} {
		if err := fault(what); err != nil {
			return err
		}
		size := int64(turn + 2)
		if err := resize(size); err != nil {
			return err
		}
		if err := follows(size); err != nil {
			return err
		}
	}
	// What the controller owns is made anew.
	child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "w"}}
	if err := deleting(func() error { return clients.Delete(ctx, child) }); err != nil {
		return err
	}
	if err := follows(3); err != nil {
		return err
	}
	if err := refusals(ctx, clients, namespace); err != nil {
		return err
	}
	if err := found(ctx, clients, direct, namespace); err != nil {
		return err
	}
	if err := deleting(func() error { return clients.Delete(ctx, widget) }); err != nil {
		return err
	}
	return awaited("the end after the last word", func() (bool, error) {
		err := direct.Get(ctx, key, &Widget{})
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
}

func refusals(ctx context.Context, clients client.Client, namespace string) error {
	for _, spec := range []WidgetSpec{{Size: -1}, {Size: 10, Color: "red"}} {
		wrong := &Widget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "wrong"}, Spec: spec}
		refused := changing(func() error { return clients.Create(ctx, wrong.DeepCopyObject().(*Widget)) })
		if err := want(apierrors.IsInvalid(refused), "%v: %v", spec, refused); err != nil {
			return err
		}
	}
	return nil
}

// found asks by a field, the cache's index and the server itself, and for the event.
func found(ctx context.Context, clients client.Client, direct client.Reader, namespace string) error {
	for _, reader := range []client.Reader{clients, direct} {
		for color, count := range map[string]int{"blue": 1, "red": 0} {
			list := &WidgetList{}
			err := changing(func() error {
				return reader.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{colors: color})
			})
			if err != nil {
				return err
			}
			if err := want(len(list.Items) == count, "%d are %s", len(list.Items), color); err != nil {
				return err
			}
		}
	}
	return awaited("the event", func() (bool, error) {
		list := &corev1.EventList{}
		err := direct.List(ctx, list, client.InNamespace(namespace), client.MatchingFields{"involvedObject.name": "w", "reason": "Made"})
		return len(list.Items) > 0, err
	})
}
