// Two candidates, each a process; the one that leads is killed and the other leads.

package main

import (
	"context"
	"os"
	"os/exec"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const (
	lockName      = "go-election"
	leaseDuration = 5 * time.Second
	renewDeadline = 4 * time.Second
	retryPeriod   = 500 * time.Millisecond
)

// stand is a candidate that stands again when it loses.
func stand(ctx context.Context, config *rest.Config, namespace, name string) error {
	lock, err := resourcelock.NewFromKubeconfig(
		resourcelock.LeasesResourceLock, namespace, lockName, resourcelock.ResourceLockConfig{Identity: name}, config, renewDeadline)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
			Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
			Callbacks: leaderelection.LeaderCallbacks{
				OnStartedLeading: func(ctx context.Context) { <-ctx.Done() },
				OnStoppedLeading: func() {},
			},
		})
	}
	return nil
}

func electing(ctx context.Context, config *rest.Config, namespace string) error {
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	candidates := map[string]*exec.Cmd{}
	for _, name := range []string{"one", "two"} {
		candidate := exec.CommandContext(ctx, os.Args[0], "candidate", namespace, name)
		if err := candidate.Start(); err != nil {
			return err
		}
		candidates[name] = candidate
		defer end(candidate)
	}
	leader, err := renewing(ctx, clients, namespace, "")
	if err != nil {
		return err
	}
	if err := fault("kill"); err != nil {
		return err
	}
	if leader, err = renewing(ctx, clients, namespace, ""); err != nil {
		return err
	}
	end(candidates[leader])
	other := map[string]string{"one": "two", "two": "one"}[leader]
	_, err = renewing(ctx, clients, namespace, other)
	return err
}

func end(candidate *exec.Cmd) {
	_ = candidate.Process.Kill()
	_ = candidate.Wait()
}

// renewing waits until the lease is renewed anew, by the one that is named if one is, and tells by whom.
func renewing(ctx context.Context, clients *kubernetes.Clientset, namespace, by string) (string, error) {
	var before, now *coordinationv1.Lease
	err := awaited("a leader", func() (bool, error) {
		var err error
		now, err = clients.CoordinationV1().Leases(namespace).Get(ctx, lockName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if before == nil {
			before = now
		}
		holder := *now.Spec.HolderIdentity
		return !now.Spec.RenewTime.Equal(before.Spec.RenewTime) && (by == "" || by == holder), nil
	})
	if err != nil {
		return "", err
	}
	return *now.Spec.HolderIdentity, nil
}
