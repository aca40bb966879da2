import Testing

@testable import IPFIX
