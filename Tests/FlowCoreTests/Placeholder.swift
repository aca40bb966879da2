import Testing
@testable import FlowCore
