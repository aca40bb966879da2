// The forms in which HTTP may name what is asked for: RFC 9112, section 3.2.
import Testing

@testable import ExporterApp

@Suite struct WebRequestTests {
  @Test(arguments: [
    ("/metrics", "/metrics"), ("/", "/"), ("http://127.0.0.1:9477/metrics", "/metrics"),
    ("HTTP://example.org/metrics", "/metrics"), ("https://[::1]:9477/healthz", "/healthz"),
    ("http://example.org", "/"),
    // A path that looks like an address is a path.
    ("/http://example.org/metrics", "/http://example.org/metrics"), ("ftp://a/metrics", "ftp://a/metrics"),
  ])
  func anAddressIsItsPath(target: String, path: String) {
    #expect(WebRequest(target: target, accept: "").path == path)
  }
}
