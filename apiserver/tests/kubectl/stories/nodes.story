A node that no kubelet stands behind.
$ kubectl create -f -
  {apiVersion: v1, kind: Node, metadata: {name: anode, labels: {kubernetes.io/hostname: anode}}, status: {capacity: {cpu: "4", memory: 8Gi, pods: "110"}, nodeInfo: {kubeletVersion: v1.36.3, osImage: Linux}}}
$ kubectl get node anode
$ kubectl get node anode -o wide
$ kubectl cordon anode
$ kubectl cordon anode
$ kubectl get node anode
$ kubectl uncordon anode
$ kubectl taint node anode key=value:NoSchedule
$ kubectl taint node anode key=value:NoSchedule
$ kubectl taint node anode key=value:Wrong
$ kubectl taint node anode key-
$ kubectl create namespace noded
$ kubectl create -n noded sa default
$ kubectl create -n noded -f -
  {apiVersion: v1, kind: Pod, metadata: {name: placed}, spec: {nodeName: anode, terminationGracePeriodSeconds: 0, containers: [{name: c, image: i}]}}
$ kubectl describe node anode
$ kubectl drain anode
$ kubectl drain anode --force --ignore-daemonsets
$ kubectl get -n noded pods
$ kubectl delete node anode
