# Consul's agent on each other machine. The sidecars of a machine ask its own agent, over loopback.
server      = false
data_dir    = "data"
client_addr = "127.0.0.1"

ports                  = { http = -1, https = 8501, dns = -1 }
ca_file                = "tls/ca.pem"
cert_file              = "tls/agent.pem"
key_file               = "tls/agent-key.pem"
verify_incoming_rpc    = true
verify_outgoing        = true
verify_server_hostname = true

acl = {
  enabled        = true
  default_policy = "deny"
  down_policy    = "extend-cache"
}

disable_update_check = true
