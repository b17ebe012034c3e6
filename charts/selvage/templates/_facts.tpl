{{/* What the binaries are, whatever is set of them. tests/whole/chart compares it with what `<binary> schema` says. */}}

{{/* The services, by name. `calls` are those that it calls; `key` is whose key it signs with; `main` is the
     pool whose callers have 5 s in all. */}}
{{- define "selvage.services" -}}
catalogue:
  port: 50051
  metricsPort: 9464
  grpc: selvage.catalogue.v1.Catalogue
  calls: [checkout]
  key: catalogue
  main: catalogue
cart:
  port: 50052
  metricsPort: 9465
  grpc: selvage.cart.v1.Cart
  calls: [catalogue]
  main: cart
checkout:
  port: 50053
  metricsPort: 9466
  grpc: selvage.checkout.v1.Checkout
  calls: [cart, catalogue, delivery]
  key: checkout
  main: checkout
delivery:
  port: 50054
  metricsPort: 9467
  grpc: selvage.delivery.v1.Delivery
  calls: []
  main: delivery
web:
  port: 8080
  metricsPort: 9468
  calls: [catalogue, cart, checkout, delivery]
  key: web
{{- end }}

{{/* The services in the order in which a request meets their databases. */}}
{{- define "selvage.stored" -}}
[catalogue, cart, checkout, delivery]
{{- end }}

{{/* How long a pod may take to end: the lame-duck pause, then 12 s for calls and work, 4 s for pools to close, 4 s for the last
     telemetry, and 2 s for a machine that is busy. */}}
{{- define "selvage.gracePeriodSeconds" -}}
{{ divf (add (int64 .Values.lameDuckMs) 12000 4000 4000 2000) 1000 | ceil | int64 }}
{{- end }}

{{/* What is set of a component: what all have in common, and above it its own. Takes the root and `component`. */}}
{{- define "selvage.settings" -}}
{{ toYaml (mustMergeOverwrite (deepCopy .root.Values.common) (deepCopy (get .root.Values .component))) }}
{{- end }}
