# Consul's agent on the first machine, where the cluster's state is. In production: three such machines, bootstrap_expect = 3.
# What differs from machine to machine, and what is secret, stands beside it in machine.hcl.
server           = true
bootstrap_expect = 1
data_dir         = "data"
client_addr      = "127.0.0.1"

# The API speaks HTTPS only, and no agent talks to another without a certificate of ca.pem.
ports                  = { http = -1, https = 8501, dns = -1 }
ca_file                = "tls/ca.pem"
cert_file              = "tls/agent.pem"
key_file               = "tls/agent-key.pem"
verify_incoming_rpc    = true
verify_outgoing        = true
verify_server_hostname = true

# Without a token nothing is allowed. The default of intentions follows from that: no service may call another.
acl = {
  enabled                  = true
  default_policy           = "deny"
  down_policy              = "extend-cache"
  enable_token_persistence = true
}

connect              = { enabled = true }
disable_update_check = true
