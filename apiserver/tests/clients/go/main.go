// Command clients does what Go programs do with client-go and controller-runtime, over the server of the kubeconfig.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

const scriptMax = 4 * time.Minute

// part is a piece of the script, which works in a namespace of its own.
type part struct {
	name string
	run  func(ctx context.Context, config *rest.Config, namespace string) error
}

var parts = []part{
	{"crud", crud}, {"dynamic", dynamically}, {"informing", informing}, {"controller", controlling}, {"election", electing},
}

func main() {
	log.SetFlags(0)
	ctrl.SetLogger(zap.New(zap.WriteTo(os.Stderr), zap.Level(quiet)))
	ctx, cancel := context.WithTimeout(context.Background(), scriptMax)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, words []string) error {
	if len(words) == 1 && words[0] == "envtest" {
		return environment(ctx)
	}
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return err
	}
	config.QPS = -1
	if len(words) == 3 && words[0] == "candidate" {
		return stand(ctx, config, words[1], words[2])
	}
	for _, part := range parts {
		started := time.Now()
		if err := inNamespace(ctx, config, part); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		fmt.Printf("%s: %.1f s\n", part.name, time.Since(started).Seconds())
	}
	fmt.Println("the script is through")
	return nil
}

func inNamespace(ctx context.Context, config *rest.Config, part part) error {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("clients-go-%s-%d", part.name, time.Now().UnixNano())
	body := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	err = creating(func() error {
		_, err := clients.CoreV1().Namespaces().Create(ctx, body, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	if err := part.run(ctx, rest.CopyConfig(config), name); err != nil {
		return err
	}
	return deleting(func() error { return clients.CoreV1().Namespaces().Delete(ctx, name, metav1.DeleteOptions{}) })
}
