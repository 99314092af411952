{{- /* Who signs the certificates. */ -}}
{{- define "outrider.issuer" -}}
{{- default (printf "%s-outrider" .Release.Name) .Values.identity.issuer.name -}}
{{- end -}}
{{- /* The objects of the job that calls: two releases of one namespace may have a caller of the same name. */ -}}
{{- define "outrider.ofCaller" -}}
{{- printf "%s-%s" .Release.Name .Values.caller.name -}}
{{- end -}}
{{- /* The sidecar as an init container that stays; takes root, name of the service, `config` of its ConfigMap, `waits`: its pod begins once each upstream has been reached, and `account`: it watches endpoints by the API. */ -}}
{{- define "outrider.sidecar" -}}
initContainers:
- name: outrider
  image: {{ .root.Values.sidecar.image }}
  restartPolicy: Always
  args: [sidecar, -c, /etc/outrider/sidecar.yaml]
  env:
    - { name: OUTRIDER_INSTANCE, valueFrom: { fieldRef: { fieldPath: metadata.name } } }
    - { name: OUTRIDER_ADDRESS, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
  ports:
    - { name: peers, containerPort: 9443 }
    - { name: observe, containerPort: 9464 }
  {{- if .waits }}
  startupProbe: { httpGet: { path: /started, port: observe }, periodSeconds: 1, failureThreshold: 600 }
  {{- else }}
  startupProbe: { httpGet: { path: /live, port: observe }, periodSeconds: 1, failureThreshold: 60 }
  {{- end }}
  livenessProbe: { httpGet: { path: /live, port: observe }, periodSeconds: 10, timeoutSeconds: 5 }
  readinessProbe: { httpGet: { path: /ready, port: observe }, periodSeconds: 2 }
  resources: {{ toJson .root.Values.sidecar.resources }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: { drop: [ALL] }
    seccompProfile: { type: RuntimeDefault }
  volumeMounts:
    - { name: outrider-config, mountPath: /etc/outrider, readOnly: true }
    - { name: outrider-identity, mountPath: /var/run/secrets/outrider, readOnly: true }
    {{- if .account }}
    - { name: outrider-account, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true }
    {{- end }}
volumes:
- name: outrider-config
  configMap: { name: {{ .config }} }
- name: outrider-identity
  {{- if .root.Values.identity.secretPrefix }}
  secret: { secretName: {{ .root.Values.identity.secretPrefix }}{{ .name }}, defaultMode: 0440 }
  {{- else }}
  csi:
    driver: csi.cert-manager.io
    readOnly: true
    volumeAttributes:
      csi.cert-manager.io/issuer-name: {{ include "outrider.issuer" .root }}
      {{- if ne .root.Values.identity.issuer.kind "Issuer" }}
      csi.cert-manager.io/issuer-kind: {{ .root.Values.identity.issuer.kind }}
      {{- end }}
      csi.cert-manager.io/uri-sans: spiffe://{{ .root.Values.identity.trustDomain }}/ns/default/dc/{{ .root.Values.identity.datacenter }}/svc/{{ .name }}
      csi.cert-manager.io/key-usages: digital signature,server auth,client auth
      csi.cert-manager.io/duration: 24h
      csi.cert-manager.io/fs-group: "10001"
  {{- end }}
{{- if .account }}
# The token of the service account, for the sidecar alone.
- name: outrider-account
  projected:
    sources:
      - serviceAccountToken: { path: token, expirationSeconds: 3600 }
      - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
      - downwardAPI: { items: [{ path: namespace, fieldRef: { fieldPath: metadata.namespace } }] }
{{- end }}
{{- end -}}
