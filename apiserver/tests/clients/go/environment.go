// envtest starts a server and its store by itself, from the programs that TEST_ASSET_… name.

package main

import (
	"context"
	"fmt"
	"os"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

func environment(ctx context.Context) (err error) {
	environment := &envtest.Environment{
		CRDs:                     []*apiextensionsv1.CustomResourceDefinition{definition()},
		ErrorIfCRDPathMissing:    true,
		AttachControlPlaneOutput: os.Getenv("CLIENTS_OUTPUT") != "",
	}
	config, err := environment.Start()
	if err != nil {
		return fmt.Errorf("it does not start: %w", err)
	}
	defer func() {
		if stopped := environment.Stop(); err == nil {
			err = stopped
		}
		if err == nil {
			fmt.Println("the script is through")
		}
	}()
	for _, part := range []part{{"crud", crud}, {"controller", controlling}} {
		if err := inNamespace(ctx, config, part); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	// A user with a certificate of the environment's own authority, who may do nothing yet.
	user, err := environment.AddUser(envtest.User{Name: "somebody", Groups: []string{"some"}}, nil)
	if err != nil {
		return err
	}
	file, err := user.KubeConfig()
	if err != nil {
		return err
	}
	theirs, err := clientcmd.RESTConfigFromKubeConfig(file)
	if err != nil {
		return err
	}
	clients, err := kubernetes.NewForConfig(theirs)
	if err != nil {
		return err
	}
	_, refused := clients.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
	return want(apierrors.IsForbidden(refused), "a stranger lists pods: %v", refused)
}
