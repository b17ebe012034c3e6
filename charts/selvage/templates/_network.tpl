{{/* Parts of NetworkPolicies. Everything that the API server would fill in is written out: the lists are compared as wholes. */}}

{{/* A component's pods, as a peer in a list. Takes the root and `component`. */}}
{{- define "selvage.peer" -}}
- podSelector:
    matchLabels:
      {{- include "selvage.selectorLabels" . | nindent 6 }}
{{- end }}

{{/* A rule for peers that may be configured: to everywhere, on the ports, where there are none. Takes `peers`, `ports` and `side`. */}}
{{- define "selvage.rule" -}}
- ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
  {{- with .peers }}
  {{ $.side }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* The way to the name servers. Takes the root itself. */}}
{{- define "selvage.dnsRule" -}}
- ports:
    {{- range .Values.networkPolicy.dnsPorts }}
    - port: {{ int64 . }}
      protocol: UDP
    - port: {{ int64 . }}
      protocol: TCP
    {{- end }}
  to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
{{- end }}

{{/* The way of a component to its database. Takes the root and `component`, the service's. */}}
{{- define "selvage.databaseRule" -}}
{{- $account := include "selvage.account" . | fromYaml -}}
{{- $peers := .root.Values.networkPolicy.databaseTo -}}
{{- if eq .root.Values.database.kind "playground" -}}
{{- $peers = include "selvage.peer" (dict "root" .root "component" "postgres") | fromYamlArray -}}
{{- else if eq .root.Values.database.kind "cloudnativepg" -}}
{{- $peers = list (dict "podSelector" (dict "matchLabels" (dict "cnpg.io/cluster" (printf "%s-postgres" (include "selvage.fullname" .root))))) -}}
{{- end -}}
{{ include "selvage.rule" (dict "side" "to" "peers" $peers "ports" (list (int64 $account.port))) }}
{{- end }}

{{/* The way to whoever takes traces. Takes the root itself. */}}
{{- define "selvage.collectorRule" -}}
{{- $endpoint := .Values.telemetry.otlp.endpoint -}}
{{- if $endpoint -}}
{{- $url := urlParse $endpoint -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{ include "selvage.rule" (dict "side" "to" "peers" .Values.networkPolicy.collectorTo "ports" (list (int64 $port))) }}
{{- else if .Values.jaeger.enabled -}}
{{ include "selvage.rule" (dict "side" "to" "peers" (include "selvage.peer" (dict "root" . "component" "jaeger") | fromYamlArray) "ports" (list 4317)) }}
{{- end -}}
{{- end }}

{{/* Who may read a component's metrics. Takes the root and `port`. */}}
{{- define "selvage.metricsRule" -}}
{{- $monitor := .root.Values.telemetry.monitor -}}
{{- $peers := .root.Values.networkPolicy.metricsFrom -}}
{{- if ne $monitor.kind "none" -}}
{{- $labels := dict -}}
{{- with $monitor.prometheusNamespace -}}
{{- $labels = dict "matchLabels" (dict "kubernetes.io/metadata.name" .) -}}
{{- end -}}
{{- $peers = append $peers (dict "namespaceSelector" $labels) -}}
{{- end -}}
{{- if $peers -}}
{{ include "selvage.rule" (dict "side" "from" "peers" $peers "ports" (list .port)) }}
{{- end -}}
{{- end }}

{{/* Who may call a service: those that call it by what the binaries say. Takes the root and `component`. */}}
{{- define "selvage.callersRule" -}}
{{- $services := include "selvage.services" .root | fromYaml -}}
{{- $peers := list -}}
{{- range $name, $facts := $services -}}
{{- if has $.component $facts.calls -}}
{{- $peers = concat $peers (include "selvage.peer" (dict "root" $.root "component" $name) | fromYamlArray) -}}
{{- end -}}
{{- end -}}
{{ include "selvage.rule" (dict "side" "from" "peers" $peers "ports" (list (get $services .component).port)) }}
{{- end }}

{{/* The way of a service's pods, of the pages and of the operator's replicas among themselves to the operator; nothing without one. Takes the root itself. */}}
{{- define "selvage.brokerRule" -}}
{{- if .Values.operator.enabled -}}
{{ include "selvage.rule" (dict "side" "to" "peers" (include "selvage.peer" (dict "root" . "component" "operator") | fromYamlArray) "ports" (list (include "selvage.operatorFacts" . | fromYaml).port)) }}
{{- end -}}
{{- end }}

{{/* A whole policy. Takes the root, `component`, and the lists `ingress` and `egress` as YAML. */}}
{{- define "selvage.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "selvage.metadata" (merge (dict "name" (include "selvage.name" .)) .) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "selvage.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- with .ingress | fromYamlArray }}
  ingress:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .egress | fromYamlArray }}
  egress:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
