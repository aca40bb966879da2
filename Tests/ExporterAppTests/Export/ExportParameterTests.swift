// What stands behind the `?` of an `--export` argument.
import Testing

@testable import ExporterApp

@Suite struct ExportParameterTests {
  @Test("a collector's parameters, and where the host ends")
  func collector() throws {
    let url = try ExportURL(parsing: "udp://[2001:db8::1]:9995/?source=2001:db8::2&interface=eth0&dscp=af41")
    #expect(url.destination == .udp(host: "2001:db8::1", port: 9995))
    #expect(url.parameters[.source] == "2001:db8::2")
    #expect(url.socket.interface == "eth0")
    // RFC 2597: AF41 is 100010.
    #expect(url.socket.codePoint?.value == 0b100010)
    #expect(try ExportURL(parsing: "tcp://host?").socket == SocketOptions())
  }

  @Test(
    "names of Differentiated Services",
    arguments: [
      ("0", 0), ("63", 63), ("cs0", 0), ("CS7", 56), ("af11", 10), ("af23", 22), ("ef", 46), ("va", 44),
      ("le", 1),
    ] as [(String, UInt8)])
  func codePoints(_ text: String, _ value: UInt8) {
    #expect(CodePoint(text)?.value == value)
  }

  @Test(
    "what is no name of Differentiated Services",
    arguments: [
      "", "64", "-1", "+1", "cs8", "cs", "cs11", "af14", "af51", "af01", "ef1", "xx", "é", "a", "af1é",
    ])
  func wrongCodePoints(_ text: String) {
    #expect(CodePoint(text) == nil)
  }

  @Test(
    "a file's name may have a '?' that begins no parameters",
    arguments: [
      ("json:what?", "what?"), ("json:what?now", "what?now"), ("json:what?=", "what?="),
      ("csv:a?b=c&d", "a?b=c&d"),
      ("ipfix:/tmp/?/x", "/tmp/?/x"),
    ])
  func fileNames(_ argument: String, _ path: String) throws {
    let url = try ExportURL(parsing: argument)
    #expect(url.destination.path == path)
  }

  @Test("values may have octets by their digits")
  func octets() throws {
    #expect(try ExportURL(parsing: "tcp://h?interface=a%26b%3d%25").socket.interface == "a&b=%")
  }

  @Test(
    "parameters that say what is wrong",
    arguments: [
      ("udp://host?nonsense=1", "source=ADDRESS, interface=NAME, dscp=N|NAME"),
      ("text:file?source=192.0.2.1", "text takes no parameter 'source'"),
      ("tcp://host?source", "write NAME=VALUE"), ("tcp://host?=x", "write NAME=VALUE"),
      ("tcp://host?source=192.0.2.1&source=192.0.2.1", "twice"),
      ("tcp://host?source=host.example", "no address"), ("tcp://host?source=", "no address"),
      ("tcp://host?source=%00", "no octet 0"),
      ("tcp://host?interface=", "no name of an interface"),
      ("tcp://host?interface=0123456789abcdef", "no name of an interface"),
      ("tcp://host?interface=%", "%25"), ("tcp://host?interface=%4", "%25"),
      ("tcp://host?interface=%zz", "%25"),
      ("tcp://host?interface=%é", "%25"),
      ("tls://host?key=a", "give certificate=FILE"), ("tls://host?ca=", "name a file"),
      ("tls://host?verify=maybe", "neither on nor off"),
      ("tls://host?compress=lz4", "no parameter 'compress'"),
      ("tcp://[::1]?source=192.0.2.1", "another IP version"), ("json:unix:", "name a file"),
      ("tcp://host?dscp=64", "0 to 63"), ("sctp://host", "use tcp://"), ("SCTP://host:4739", "use tcp://"),
    ])
  func wrong(_ argument: String, _ hint: String) {
    let error = #expect(throws: ExportURLError.self) { try ExportURL(parsing: argument) }
    #expect(error?.description.contains(hint) == true, "\(String(describing: error))")
    #expect(error?.description.contains("\n") == false)
  }

  @Test("every scheme is one that is understood")
  func schemes() throws {
    for scheme in ExportScheme.allCases {
      let argument = scheme.form.replacing("[:", with: ":").replacing("]", with: "")
      #expect(try ExportURL(parsing: argument).parameters.scheme == scheme)
    }
    for parameter in ExportParameter.allCases { #expect(!parameter.declaration.schemes.isEmpty) }
  }
}

extension ExportURL.Destination {
  fileprivate var path: String? { if case .file(_, let path) = self { path } else { nil } }
}
