// What `--metrics` serves at which path.

/// The pages of a live run.
struct MetricsPages: Sendable {
  let view: RunView
  let health: RunHealth

  /// The answer to a request.
  func answer(_ request: WebRequest) -> WebResponse {
    switch request.path {
    case "/metrics":
      guard let snapshot = view.snapshot else { return WebResponse(status: 503, body: "ended\n") }
      let format = MetricFormat(accept: request.accept)
      return WebResponse(contentType: format.contentType, body: format.text(snapshot))
    case "/healthz": return health.alive
    case "/readyz": return health.ready
    case "/": return WebResponse(body: "martlet: /metrics, /healthz, /readyz\n")
    default: return WebResponse(status: 404, body: "404: there are /metrics, /healthz and /readyz\n")
    }
  }
}
