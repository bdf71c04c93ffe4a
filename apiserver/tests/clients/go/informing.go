// A shared informer hears of every change in order, also through cut connections and killed servers.

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	objectCount = 3
	turnCount   = 5
	faultCount  = 3
	// unreadable is the turn in which the informer cannot read its watch any more, and lists anew.
	unreadable  = "unreadable"
	resyncEvery = 2 * time.Second
	byValue     = "value"
)

// requests counts what an informer asks for, and has the answer that its latest watch reads.
type requests struct {
	lists, initialEvents, watches atomic.Int64
	answer                        atomic.Pointer[io.ReadCloser]
}

type counting struct {
	requests *requests
	next     http.RoundTripper
}

func (counting counting) RoundTrip(request *http.Request) (*http.Response, error) {
	query := request.URL.Query()
	switch {
	case request.Method != http.MethodGet || !strings.HasSuffix(request.URL.Path, "/configmaps"):
	case query.Get("sendInitialEvents") == "true":
		counting.requests.initialEvents.Add(1)
	case query.Get("watch") != "":
		counting.requests.watches.Add(1)
	default:
		counting.requests.lists.Add(1)
	}
	response, err := counting.next.RoundTrip(request)
	if err == nil && query.Get("watch") != "" {
		counting.requests.answer.Store(&response.Body)
	}
	return response, err
}

// heard is what the handlers were told.
type heard struct {
	lock   sync.Mutex
	events []event
	queue  workqueue.TypedRateLimitingInterface[string]
}

type event struct {
	kind, name, value string
	version           int64
}

func (heard *heard) note(kind string, object any) {
	if tombstone, missed := object.(cache.DeletedFinalStateUnknown); missed {
		object = tombstone.Obj
	}
	one := object.(*corev1.ConfigMap)
	version, _ := strconv.ParseInt(one.ResourceVersion, 10, 64)
	heard.lock.Lock()
	defer heard.lock.Unlock()
	heard.events = append(heard.events, event{kind, one.Name, one.Data["value"], version})
	heard.queue.Add(one.Name)
}

func (heard *heard) has(kind, name, value string) bool {
	heard.lock.Lock()
	defer heard.lock.Unlock()
	return slices.ContainsFunc(heard.events, func(event event) bool {
		return event.kind == kind && event.name == name && event.value == value
	})
}

func informing(ctx context.Context, config *rest.Config, namespace string) error {
	writer, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	asked := &requests{}
	counted := rest.CopyConfig(config)
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper { return counting{asked, next} })
	reader, err := kubernetes.NewForConfig(counted)
	if err != nil {
		return err
	}
	for number := range objectCount {
		if err := write(ctx, writer, namespace, fmt.Sprintf("first-%d", number), "0"); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	selected := func(options *metav1.ListOptions) { options.LabelSelector = "heard=yes" }
	factory := informers.NewSharedInformerFactoryWithOptions(
		reader, resyncEvery, informers.WithNamespace(namespace), informers.WithTweakListOptions(selected))
	defer factory.Shutdown()
	defer cancel()
	informer := factory.Core().V1().ConfigMaps().Informer()
	resyncs := atomic.Int64{}
	heard := &heard{queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())}
	worked := work(heard.queue)
	registered, err := informer.AddEventHandler(handlers(heard, &resyncs))
	if err != nil {
		return err
	}
	err = informer.AddIndexers(cache.Indexers{byValue: func(object any) ([]string, error) {
		return []string{object.(*corev1.ConfigMap).Data["value"]}, nil
	}})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), registered.HasSynced) {
		return fmt.Errorf("the informer did not come up")
	}
	if err := turns(ctx, writer, namespace, heard, asked, informer.GetIndexer()); err != nil {
		return err
	}
	if err := awaited("a resync", func() (bool, error) { return resyncs.Load() > 0, nil }); err != nil {
		return err
	}
	heard.queue.ShutDownWithDrain()
	if err := want(len(<-worked) == objectCount+turnCount, "not every name was worked on"); err != nil {
		return err
	}
	return resumed(asked, heard)
}

func handlers(heard *heard, resyncs *atomic.Int64) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) { heard.note("added", object) },
		UpdateFunc: func(old, object any) {
			if old.(*corev1.ConfigMap).ResourceVersion == object.(*corev1.ConfigMap).ResourceVersion {
				resyncs.Add(1)
				return
			}
			heard.note("modified", object)
		},
		DeleteFunc: func(object any) { heard.note("deleted", object) },
	}
}

// work takes names from the queue until it is shut down, each of them failing once, and tells which there were.
func work(queue workqueue.TypedRateLimitingInterface[string]) <-chan map[string]bool {
	done := make(chan map[string]bool, 1)
	go func() {
		worked := map[string]bool{}
		for {
			name, shutdown := queue.Get()
			if shutdown {
				done <- worked
				return
			}
			if worked[name] {
				queue.Forget(name)
			} else {
				queue.AddRateLimited(name)
			}
			worked[name] = true
			queue.Done(name)
		}
	}()
	return done
}

// turns changes objects while the informer is cut off in each way, and waits each time until it has heard of it all.
func turns(ctx context.Context, writer *kubernetes.Clientset, namespace string, heard *heard, asked *requests, index cache.Indexer) error {
	for turn, what := range []string{"", "cut", "kill", "kill", unreadable} {
		switch what {
		case "":
		case unreadable:
			if err := (*asked.answer.Load()).Close(); err != nil {
				return err
			}
		default:
			if err := fault(what); err != nil {
				return err
			}
		}
		value, extra := strconv.Itoa(turn+1), fmt.Sprintf("turn-%d", turn)
		for number := range objectCount {
			if err := write(ctx, writer, namespace, fmt.Sprintf("first-%d", number), value); err != nil {
				return err
			}
		}
		if err := write(ctx, writer, namespace, extra, value); err != nil {
			return err
		}
		if err := awaited("the new object", func() (bool, error) { return heard.has("added", extra, value), nil }); err != nil {
			return err
		}
		remove := func() error { return writer.CoreV1().ConfigMaps(namespace).Delete(ctx, extra, metav1.DeleteOptions{}) }
		if err := deleting(remove); err != nil {
			return err
		}
		if err := awaited("its end", func() (bool, error) { return heard.has("deleted", extra, value), nil }); err != nil {
			return err
		}
		found, err := index.ByIndex(byValue, value)
		if err != nil {
			return err
		}
		if err := want(len(found) == objectCount, "%d objects of turn %d in the index", len(found), turn); err != nil {
			return err
		}
	}
	return nil
}

// resumed checks that lists came as streams, that nothing was missed or told twice, and that versions only grew.
func resumed(asked *requests, heard *heard) error {
	heard.lock.Lock()
	defer heard.lock.Unlock()
	if !faulty() {
		return nil
	}
	// A cut that meets a request on its way leaves an error that a reflector does not take for an end: it begins anew, with a stream.
	lists, streams := asked.lists.Load(), asked.initialEvents.Load()
	if err := want(lists == 0 && streams >= 2 && streams <= 2+faultCount, "%d lists, %d of them as events", lists+streams, streams); err != nil {
		return err
	}
	if err := want(asked.watches.Load()+streams > faultCount, "%d watches went on", asked.watches.Load()); err != nil {
		return err
	}
	if err := want(len(heard.events) == objectCount+turnCount*(objectCount+2), "events %v", heard.events); err != nil {
		return err
	}
	resumed := heard.events[objectCount : len(heard.events)-objectCount-2]
	grows := slices.IsSortedFunc(resumed, byVersion)
	if err := want(grows || streams > 2, "versions do not grow: %v", resumed); err != nil {
		return err
	}
	return growByName(heard.events)
}

func byVersion(a, b event) int { return cmp.Compare(a.version, b.version) }

// growByName checks what holds through a list as well, which tells what it has in any order.
func growByName(events []event) error {
	byName := map[string][]event{}
	for _, event := range events {
		byName[event.name] = append(byName[event.name], event)
	}
	for _, events := range byName {
		if err := want(slices.IsSortedFunc(events, byVersion), "versions do not grow: %v", events); err != nil {
			return err
		}
	}
	return nil
}

func write(ctx context.Context, writer *kubernetes.Clientset, namespace, name, value string) error {
	maps := writer.CoreV1().ConfigMaps(namespace)
	body := configMap(name, value, map[string]string{"heard": "yes"})
	return changing(func() error {
		_, err := maps.Update(ctx, body, metav1.UpdateOptions{})
		if apierrors.IsNotFound(err) {
			_, err = maps.Create(ctx, body, metav1.CreateOptions{})
		}
		return err
	})
}
