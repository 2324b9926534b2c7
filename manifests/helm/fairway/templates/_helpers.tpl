{{/* Names and labels are MetalLB's, so that an upgrade of its release keeps the workloads. */}}
{{- define "metallb.name" -}}
{{- default "metallb" .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "metallb.fullname" -}}
{{- $name := include "metallb.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "metallb.selectorLabels" -}}
app.kubernetes.io/name: {{ include "metallb.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "metallb.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "metallb.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Of one process: dict "root" $ "process" "controller" or "speaker". */}}
{{- define "metallb.serviceAccountName" -}}
{{- $account := (index .root.Values .process).serviceAccount }}
{{- if $account.create }}
{{- default (printf "%s-%s" (include "metallb.fullname" .root) .process) $account.name }}
{{- else }}
{{- default "default" $account.name }}
{{- end }}
{{- end }}

{{- define "metallb.secretName" -}}
{{- default (printf "%s-memberlist" (include "metallb.fullname" .)) .Values.speaker.secretName }}
{{- end }}

{{- define "metallb.memberlist" -}}
{{- if and .Values.speaker.enabled .Values.speaker.memberlist.enabled }}yes{{ end }}
{{- end }}

{{- define "metallb.bgpType" -}}
{{- if .Values.speaker.frr.enabled }}frr{{ else if or .Values.frrk8s.enabled .Values.frrk8s.external }}frr-k8s{{ end }}
{{- end }}

{{/* The rules of a role in base/: dict "root" $ "file" FILE "role" NAME. Names that a release changes are put in. */}}
{{- define "metallb.rules" -}}
{{- $fullname := include "metallb.fullname" .root }}
{{- range splitList "\n---\n" (.root.Files.Get .file) }}
{{- $object := fromYaml . }}
{{- if and (hasSuffix "Role" $object.kind) (eq $object.metadata.name $.role) }}
{{- toYaml $object.rules
      | replace "- controller\n" (printf "- %s-controller\n" $fullname)
      | replace "- memberlist\n" (printf "- %s\n" (include "metallb.secretName" $.root)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Container and Pod fields that both processes share; same dict as serviceAccountName. */}}
{{- define "metallb.image" -}}
{{- $values := index .root.Values .process -}}
image: {{ printf "%s:%s" $values.image.repository (default .root.Chart.AppVersion $values.image.tag) | quote }}
{{- with $values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- with $values.command }}
command: {{ kindIs "string" . | ternary (list .) . | toJson }}
{{- end }}
{{- end }}

{{- define "metallb.args" -}}
{{- $values := index .root.Values .process -}}
- --port={{ .root.Values.prometheus.metricsPort }}
{{- with $values.logLevel }}
- --log-level={{ . }}
{{- end }}
{{- if $values.livenessProbe.enabled }}
- --health-probe-port={{ $values.livenessProbe.port }}
{{- end }}
{{- with .root.Values.loadBalancerClass }}
- --lb-class={{ . }}
{{- end }}
{{- with .root.Values.tls.minVersion }}
- --tls-min-version={{ . }}
{{- end }}
{{- with .root.Values.tls.cipherSuites }}
- --tls-cipher-suites={{ . }}
{{- end }}
{{- with .root.Values.tls.curvePreferences }}
- --tls-curve-preferences={{ . }}
{{- end }}
{{- if index .root.Values.tls (printf "%sMetricsTLSSecret" .process) }}
- --metrics-cert-dir=/etc/metrics
{{- end }}
{{- end }}

{{/* A probe: dict "values" PROBE "path" PATH, and "host" where it is not the Pod's. */}}
{{- define "metallb.probe" -}}
httpGet:
  path: {{ .path }}
  port: {{ .values.port }}
  {{- with .host }}
  host: {{ . }}
  {{- end }}
failureThreshold: {{ .values.failureThreshold }}
initialDelaySeconds: {{ .values.initialDelaySeconds }}
periodSeconds: {{ .values.periodSeconds }}
successThreshold: {{ .values.successThreshold }}
timeoutSeconds: {{ .values.timeoutSeconds }}
{{- end }}

{{- define "metallb.podMetadata" -}}
{{- $values := index .root.Values .process -}}
labels:
  {{- include "metallb.selectorLabels" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .process }}
  {{- with $values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  fairway/{{ .process }}: v1
  {{- if .root.Values.prometheus.scrapeAnnotations }}
  prometheus.io/scrape: "true"
  prometheus.io/scheme: https
  prometheus.io/port: {{ .root.Values.prometheus.metricsPort | quote }}
  {{- end }}
  {{- with $values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "metallb.podSpec" -}}
{{- $values := index .root.Values .process -}}
serviceAccountName: {{ include "metallb.serviceAccountName" . }}
terminationGracePeriodSeconds: 10
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
nodeSelector:
  kubernetes.io/os: linux
  {{- with $values.nodeSelector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
