job "embeddings" {
  datacenters = ["fra1"]
  type        = "service"

  update {
    max_parallel      = 1
    canary            = 1
    health_check      = "checks"
    min_healthy_time  = "20s"
    healthy_deadline  = "8m"
    progress_deadline = "15m"
    auto_promote      = true
    auto_revert       = true
  }

  group "llamacpp" {
    count = 3

    network {
      port "http" {
        to = 8080
      }
    }

    volume "models" {
      type      = "host"
      source    = "models"
      read_only = true
    }

    service {
      name     = "embeddings"
      port     = "http"
      provider = "nomad"

      check {
        name     = "ready"
        type     = "http"
        path     = "/health"
        interval = "5s"
        timeout  = "2s"
      }
    }

    task "server" {
      driver = "docker"

      config {
        image = "registry.lan/ml/llama.cpp-server:b6710"
        ports = ["http"]
        args = [
          "--model", "/models/bge-m3-Q8_0.gguf",
          "--embeddings",
          "--threads", "4",
          "--host", "0.0.0.0",
          "--port", "8080",
        ]
      }

      volume_mount {
        volume      = "models"
        destination = "/models"
        read_only   = true
      }

      resources {
        cores  = 4
        memory = 2048
      }
    }
  }
}
