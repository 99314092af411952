# A model with its sidecar beside it, on Nomad with Consul: one on each client, as peers call port 9443 of the machine. Written by
# Nomad's reference, checked by the types of its API, not run. Images: `npm run image`, in a registry that the clients reach.
job "digits" {
  datacenters = ["dc1"]

  group "digits" {
    count = 3

    # The tasks share a network: the model listens on loopback, and only the sidecar's ports are published.
    network {
      mode = "bridge"
      port "peers" {
        static = 9443
        to     = 9443
      }
      port "observe" {
        static = 9464
        to     = 9464
      }
    }

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    # It is up before the model and ends after it.
    task "outrider" {
      driver = "docker"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        image           = "localhost/outrider:0.1.0"
        args            = ["sidecar", "-c", "/local/sidecar.yaml"]
        readonly_rootfs = true
        cap_drop        = ["ALL"]
      }

      # It registers the model and itself with the agent of the machine. Under ACLs: `token_file`, from a template in secrets/.
      env {
        CONSUL_HTTP_ADDR  = "http://${attr.unique.network.ip-address}:8500"
        OUTRIDER_ADDRESS  = "${attr.unique.network.ip-address}"
        OUTRIDER_INSTANCE = "${NOMAD_ALLOC_ID}"
      }

      template {
        destination = "local/sidecar.yaml"
        change_mode = "noop" # The sidecar reads a changed file by itself.
        data        = <<YAML
service: digits
consul: {}
admin: 127.0.0.1:8890
observe: 0.0.0.0:9464
inbound:
  listen: 0.0.0.0:9443
  local: 127.0.0.1:8001
YAML
      }

      # Longer than drain_timeout.
      kill_timeout = "40s"

      resources {
        cpu    = 100
        memory = 256
      }
    }

    task "model" {
      driver = "docker"

      config {
        image           = "localhost/outrider-models:0.1.0"
        args            = ["serve", "--models", "/opt/outrider/node_modules/outrider/services/digits/models", "--listen", "127.0.0.1:8001"]
        readonly_rootfs = true
        cap_drop        = ["ALL"]
      }

      resources {
        cpu    = 250
        memory = 512
      }
    }
  }
}
