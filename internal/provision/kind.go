package provision

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// kind is how the objects of one kind are reached.
type kind struct {
	name   string
	get    func(ctx context.Context, namespace, name string) (Object, error)
	list   func(ctx context.Context, namespace string, options metav1.ListOptions) ([]Object, error)
	patch  func(ctx context.Context, namespace, name string, form types.PatchType, data []byte, options metav1.PatchOptions) (Object, error)
	remove func(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error
}

// kinds are those that a Gateway may need.
func kinds(client kubernetes.Interface) []kind {
	return []kind{
		of("ServiceAccount", client.CoreV1().ServiceAccounts),
		of("ConfigMap", client.CoreV1().ConfigMaps),
		of("Service", client.CoreV1().Services),
		of("Deployment", client.AppsV1().Deployments),
		of("HorizontalPodAutoscaler", client.AutoscalingV2().HorizontalPodAutoscalers),
		of("PodDisruptionBudget", client.PolicyV1().PodDisruptionBudgets),
	}
}

// typed is what the clients of client-go have in common.
type typed[T Object, L runtime.Object] interface {
	Get(ctx context.Context, name string, options metav1.GetOptions) (T, error)
	List(ctx context.Context, options metav1.ListOptions) (L, error)
	Patch(ctx context.Context, name string, form types.PatchType, data []byte, options metav1.PatchOptions, subresources ...string) (T, error)
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
}

func of[T Object, L runtime.Object, C typed[T, L]](name string, in func(namespace string) C) kind {
	return kind{
		name: name,
		get: func(ctx context.Context, namespace, name string) (Object, error) {
			return in(namespace).Get(ctx, name, metav1.GetOptions{})
		},
		list: func(ctx context.Context, namespace string, options metav1.ListOptions) ([]Object, error) {
			list, err := in(namespace).List(ctx, options)
			if err != nil {
				return nil, err
			}
			var objects []Object
			err = meta.EachListItem(list, func(item runtime.Object) error {
				objects = append(objects, item.(Object))
				return nil
			})
			return objects, err
		},
		patch: func(ctx context.Context, namespace, name string, form types.PatchType, data []byte, options metav1.PatchOptions) (Object, error) {
			return in(namespace).Patch(ctx, name, form, data, options)
		},
		remove: func(ctx context.Context, namespace, name string, options metav1.DeleteOptions) error {
			return in(namespace).Delete(ctx, name, options)
		},
	}
}
