{{- define "ebbgate.selector" -}}
app.kubernetes.io/name: ebbgate-controller
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ebbgate.podLabels" -}}
{{ include "ebbgate.selector" . }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "ebbgate.labels" -}}
{{ include "ebbgate.podLabels" . }}
app.kubernetes.io/part-of: ebbgate
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* An image as a Pod names it: of a dict of the root and the image. */ -}}
{{- define "ebbgate.image" -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end }}

{{- /* 90 % of an amount of memory in Ki, Mi or Gi, in bytes. */ -}}
{{- define "ebbgate.goMemory" -}}
{{- $unit := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 -}}
{{- $amount := regexFind "^[0-9]+" . -}}
{{- mul (div (mul (int64 $amount) (index $unit (trimPrefix $amount .))) 10) 9 -}}
{{- end }}
