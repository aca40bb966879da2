import Testing

@testable import ExporterApp
