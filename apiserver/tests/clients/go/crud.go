// Typed calls in protobuf: objects made, read, changed in each way, listed in each way, and deleted.

package main

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	applyapps "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"

	"k8s.io/apimachinery/pkg/runtime"
)

func crud(ctx context.Context, config *rest.Config, namespace string) error {
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, *kubernetes.Clientset, string) error{typed, patches, scaleAndStatus, lists} {
		if err := step(ctx, clients, namespace); err != nil {
			return err
		}
	}
	return nil
}

func configMap(name, value string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Data:       map[string]string{"value": value},
	}
}

func typed(ctx context.Context, clients *kubernetes.Clientset, namespace string) error {
	maps := clients.CoreV1().ConfigMaps(namespace)
	create := func() error {
		_, err := maps.Create(ctx, configMap("typed", "one", nil), metav1.CreateOptions{})
		return err
	}
	if err := creating(create); err != nil {
		return err
	}
	twice := changing(create)
	if err := want(apierrors.IsAlreadyExists(twice), "made twice: %v", twice); err != nil {
		return err
	}
	old, err := maps.Get(ctx, "typed", metav1.GetOptions{})
	if err != nil {
		return err
	}
	update := func(one *corev1.ConfigMap) error {
		_, err := maps.Update(ctx, one, metav1.UpdateOptions{})
		return err
	}
	old.Data["value"] = "two"
	if err := again(apierrors.IsConflict, func() error { return update(old) }); err != nil {
		return err
	}
	late := changing(func() error { return update(old) })
	if err := want(apierrors.IsConflict(late), "an old version was written: %v", late); err != nil {
		return err
	}
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		return changing(func() error {
			newer, err := maps.Get(ctx, "typed", metav1.GetOptions{})
			if err != nil {
				return err
			}
			newer.Data["value"] = "three"
			return update(newer)
		})
	})
	if err != nil {
		return err
	}
	wrong := changing(func() error {
		_, err := maps.Create(ctx, configMap("Not A Name", "", nil), metav1.CreateOptions{})
		return err
	})
	cause, found := apierrors.StatusCause(wrong, metav1.CauseTypeFieldValueInvalid)
	if err := want(found && apierrors.IsInvalid(wrong) && cause.Field == "metadata.name", "%v", wrong); err != nil {
		return err
	}
	mismatch := types.UID("other")
	other := changing(func() error {
		return maps.Delete(ctx, "typed", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &mismatch}})
	})
	if err := want(apierrors.IsConflict(other), "another's object was deleted: %v", other); err != nil {
		return err
	}
	if err := deleting(func() error { return maps.Delete(ctx, "typed", metav1.DeleteOptions{}) }); err != nil {
		return err
	}
	gone := changing(func() error {
		_, err := maps.Get(ctx, "typed", metav1.GetOptions{})
		return err
	})
	return want(apierrors.IsNotFound(gone), "still there: %v", gone)
}

func deployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	one := int32(1)
	container := corev1.Container{Name: "web", Image: "nginx", Env: []corev1.EnvVar{{Name: "A", Value: "1"}}}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{container}},
			},
		},
	}
}

func patches(ctx context.Context, clients *kubernetes.Clientset, namespace string) error {
	deployments := clients.AppsV1().Deployments(namespace)
	err := creating(func() error {
		_, err := deployments.Create(ctx, deployment("patched"), metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	var patched *appsv1.Deployment
	patch := func(kind types.PatchType, body string) error {
		return changing(func() (err error) {
			patched, err = deployments.Patch(ctx, "patched", kind, []byte(body), metav1.PatchOptions{})
			return err
		})
	}
	strategic := `{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"B","value":"2"}]}]}}}}`
	if err := patch(types.StrategicMergePatchType, strategic); err != nil {
		return err
	}
	environment := patched.Spec.Template.Spec.Containers[0].Env
	if err := want(len(environment) == 2, "environment %v", environment); err != nil {
		return err
	}
	if err := patch(types.MergePatchType, `{"spec":{"paused":true}}`); err != nil {
		return err
	}
	steps := `[{"op":"test","path":"/spec/paused","value":true},{"op":"replace","path":"/spec/replicas","value":3}]`
	if err := patch(types.JSONPatchType, steps); err != nil {
		return err
	}
	if err := want(patched.Spec.Paused && *patched.Spec.Replicas == 3, "%v", patched.Spec); err != nil {
		return err
	}
	apply := func(force bool) error {
		wanted := applyapps.Deployment("patched", namespace).WithSpec(applyapps.DeploymentSpec().WithReplicas(5))
		return changing(func() (err error) {
			patched, err = deployments.Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: "go", Force: force})
			return err
		})
	}
	refused := apply(false)
	cause, found := apierrors.StatusCause(refused, metav1.CauseTypeFieldManagerConflict)
	if err := want(found && apierrors.IsConflict(refused) && cause.Field == ".spec.replicas", "%v", refused); err != nil {
		return err
	}
	if err := apply(true); err != nil {
		return err
	}
	// What one applied is taken out of the object as a configuration that can be applied anew.
	mine, err := applyapps.ExtractDeployment(patched, "go")
	if err != nil {
		return err
	}
	return want(*mine.Spec.Replicas == 5 && mine.Spec.Paused == nil, "%v", mine.Spec)
}

func scaleAndStatus(ctx context.Context, clients *kubernetes.Clientset, namespace string) error {
	deployments := clients.AppsV1().Deployments(namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		return changing(func() error {
			scale, err := deployments.GetScale(ctx, "patched", metav1.GetOptions{})
			if err != nil {
				return err
			}
			if scale.Status.Selector != "app=patched" {
				return fmt.Errorf("scale %v", scale)
			}
			scale.Spec.Replicas = 2
			_, err = deployments.UpdateScale(ctx, "patched", scale, metav1.UpdateOptions{})
			return err
		})
	})
	if err != nil {
		return err
	}
	var updated *appsv1.Deployment
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		return changing(func() error {
			one, err := deployments.Get(ctx, "patched", metav1.GetOptions{})
			if err != nil {
				return err
			}
			nine := int32(9)
			one.Spec.Replicas, one.Status.Replicas, one.Status.ReadyReplicas = &nine, 2, 2
			updated, err = deployments.UpdateStatus(ctx, one, metav1.UpdateOptions{})
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := want(*updated.Spec.Replicas == 2 && updated.Status.ReadyReplicas == 2, "%v", updated); err != nil {
		return err
	}
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromString("web")}}},
	}
	err = creating(func() error {
		_, err := clients.CoreV1().Services(namespace).Create(ctx, service, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		return err
	}
	background := metav1.DeletePropagationBackground
	return deleting(func() error {
		return deployments.Delete(ctx, "patched", metav1.DeleteOptions{PropagationPolicy: &background})
	})
}

func lists(ctx context.Context, clients *kubernetes.Clientset, namespace string) error {
	maps := clients.CoreV1().ConfigMaps(namespace)
	for number := range 10 {
		labels := map[string]string{"parity": []string{"even", "odd"}[number%2]}
		err := creating(func() error {
			_, err := maps.Create(ctx, configMap(fmt.Sprintf("paged-%d", number), "", labels), metav1.CreateOptions{})
			return err
		})
		if err != nil {
			return err
		}
	}
	count := func(options metav1.ListOptions) (count int, err error) {
		err = changing(func() error {
			count = 0
			pages := pager.New(pager.SimplePageFunc(func(options metav1.ListOptions) (runtime.Object, error) {
				return maps.List(ctx, options)
			}))
			pages.PageSize = 3
			return pages.EachListItem(ctx, options, func(runtime.Object) error { count++; return nil })
		})
		return count, err
	}
	for _, case_ := range []struct {
		options metav1.ListOptions
		count   int
	}{
		{metav1.ListOptions{LabelSelector: "parity"}, 10},
		{metav1.ListOptions{LabelSelector: "parity in (odd)"}, 5},
		{metav1.ListOptions{LabelSelector: "parity,parity notin (odd)"}, 5},
		{metav1.ListOptions{FieldSelector: "metadata.name=paged-3"}, 1},
		{metav1.ListOptions{FieldSelector: "metadata.namespace!=" + namespace}, 0},
	} {
		found, err := count(case_.options)
		if err != nil {
			return err
		}
		if err := want(found == case_.count, "%v gave %d", case_.options, found); err != nil {
			return err
		}
	}
	return changing(func() error {
		return maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "parity"})
	})
}
