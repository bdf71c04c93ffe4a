// The kind of our own that the controller looks after.

package main

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var widgets = schema.GroupVersion{Group: "go.clients.example.com", Version: "v1"}

// Widget has a size that its status and a ConfigMap follow.
type Widget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              WidgetSpec   `json:"spec"`
	Status            WidgetStatus `json:"status,omitempty"`
}

// WidgetSpec is what is wanted.
type WidgetSpec struct {
	Size  int64  `json:"size"`
	Color string `json:"color,omitempty"`
}

// WidgetStatus is what there is.
type WidgetStatus struct {
	Size               int64 `json:"size,omitempty"`
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// WidgetList is some of them.
type WidgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Widget `json:"items"`
}

// DeepCopyObject is what the caches ask for.
func (widget *Widget) DeepCopyObject() runtime.Object {
	copied := *widget
	copied.ObjectMeta = *widget.ObjectMeta.DeepCopy()
	return &copied
}

// DeepCopyObject is what the caches ask for.
func (list *WidgetList) DeepCopyObject() runtime.Object {
	copied := *list
	copied.ListMeta = *list.ListMeta.DeepCopy()
	copied.Items = make([]Widget, len(list.Items))
	for number := range list.Items {
		copied.Items[number] = *list.Items[number].DeepCopyObject().(*Widget)
	}
	return &copied
}

func definition() *apiextensionsv1.CustomResourceDefinition {
	least := 0.0
	number := apiextensionsv1.JSONSchemaProps{Type: "integer", Minimum: &least}
	object := func(required []string, properties map[string]apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{Type: "object", Required: required, Properties: properties}
	}
	blue := apiextensionsv1.JSON{Raw: []byte(`"blue"`)}
	spec := object([]string{"size"}, map[string]apiextensionsv1.JSONSchemaProps{
		"size": number, "color": {Type: "string", Default: &blue},
	})
	spec.XValidations = apiextensionsv1.ValidationRules{
		{Rule: "self.color != 'red' || self.size < 10", Message: "red ones are small"},
	}
	status := object(nil, map[string]apiextensionsv1.JSONSchemaProps{"size": number, "observedGeneration": number})
	whole := object([]string{"spec"}, map[string]apiextensionsv1.JSONSchemaProps{"spec": spec, "status": status})
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "widgets." + widgets.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: widgets.Group,
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Kind: "Widget"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: widgets.Version, Served: true, Storage: true,
				Schema:           &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &whole},
				Subresources:     &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				SelectableFields: []apiextensionsv1.SelectableField{{JSONPath: ".spec.color"}},
			}},
		},
	}
}
