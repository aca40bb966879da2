// The functions of martlet.h, under the names that they and their arguments have there.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

import Arrow
import CArrow
import CMartlet
import Captures
import FlowCore
import Glibc
import Rendering
import Synchronization

@c @implementation public func martlet_api_version() -> UInt32 { UInt32(MARTLET_API_VERSION) }

@c @implementation public func martlet_version() -> UnsafePointer<CChar>? { VersionText.pointer }

@c @implementation public func martlet_open(
  _ captures: UnsafePointer<UnsafePointer<CChar>?>?, _ capture_count: Int,
  _ options: UnsafePointer<martlet_option>?, _ option_count: Int,
  _ run: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> martlet_status {
  open(options, option_count, run, error) { () throws(Failure) in
    var names: [String] = []
    for index in 0..<max(0, captures == nil ? 0 : capture_count) {
      guard let name = captures?[index] else { throw .usage("capture \(index) is NULL: give a name") }
      names.append(String(cString: name))
    }
    return .files(names)
  }
}

@c @implementation public func martlet_open_bytes(
  _ octets: UnsafeRawPointer?, _ count: Int, _ name: UnsafePointer<CChar>?,
  _ options: UnsafePointer<martlet_option>?, _ option_count: Int,
  _ run: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> martlet_status {
  open(options, option_count, run, error) { () throws(Failure) in
    let copy = [UInt8](UnsafeRawBufferPointer(start: octets, count: octets == nil ? 0 : max(0, count)))
    return .octets(copy, name: name.map { String(cString: $0) } ?? "octets")
  }
}

/// Opens a run over what `captures` gives.
private func open(
  _ options: UnsafePointer<martlet_option>?, _ count: Int, _ run: UnsafeMutablePointer<OpaquePointer?>?,
  _ error: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?,
  captures: () throws(Failure) -> CaptureList
) -> martlet_status {
  run?.pointee = nil
  error?.pointee = nil
  guard let run else { return MARTLET_INVALID_ARGUMENT }
  do throws(Failure) {
    var given: [(name: String, value: String)] = []
    for index in 0..<max(0, options == nil ? 0 : count) {
      guard let option = options?[index], let name = option.name, let value = option.value else {
        throw .usage("option \(index) has no name or no value")
      }
      given.append((String(cString: name), String(cString: value)))
    }
    let made = try Run(captures(), RunOptions(given))
    // Safe: retained once here, and given back by `martlet_close`.
    run.pointee = OpaquePointer(Unmanaged.passRetained(made).toOpaque())
    return MARTLET_OK
  } catch let failure {
    error?.pointee = strdup(failure.description)
    return failure.status == Failure.usageStatus ? MARTLET_INVALID_ARGUMENT : MARTLET_CANNOT_READ
  }
}

@c @implementation public func martlet_stream(
  _ run: OpaquePointer?, _ stream: UnsafeMutablePointer<ArrowArrayStream>?,
  _ error: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> martlet_status {
  error?.pointee = nil
  guard let run = Run.of(run), let stream else { return MARTLET_INVALID_ARGUMENT }
  guard !run.isTaken.exchange(true, ordering: .relaxed) else {
    error?.pointee = strdup("a run has one stream, which was taken already: open the captures again")
    return MARTLET_INVALID_ARGUMENT
  }
  run.makeStream(in: stream)
  return MARTLET_OK
}

@c @implementation public func martlet_get_progress(
  _ run: OpaquePointer?, _ progress: UnsafeMutablePointer<martlet_progress>?
) {
  guard let progress else { return }
  progress.pointee = martlet_progress()
  guard let run = Run.of(run) else { return }
  progress.pointee = martlet_progress(
    octets_read: run.octetsRead.load(ordering: .relaxed), octets_in_all: run.octetsInAll,
    packets: run.packets.load(ordering: .relaxed), flows: run.flows.load(ordering: .relaxed),
    captures_done: run.capturesDone.load(ordering: .relaxed),
    captures_in_all: UInt64(run.captures.names.count), captures_failed: UInt64(run.problems.count))
}

@c @implementation public func martlet_problems(_ run: OpaquePointer?) -> UnsafeMutablePointer<CChar>? {
  Run.of(run).flatMap { RunText.problems($0) }
}

@c @implementation public func martlet_counters(_ run: OpaquePointer?) -> UnsafeMutablePointer<CChar>? {
  Run.of(run).flatMap { RunText.counters($0) }
}

@c @implementation public func martlet_stop(_ run: OpaquePointer?) { Run.of(run)?.stop() }

@c @implementation public func martlet_close(_ run: OpaquePointer?) {
  guard let run else { return }
  // Safe: what `open` gave.
  Unmanaged<Run>.fromOpaque(UnsafeRawPointer(run)).release()
}

@c @implementation public func martlet_plugins() -> UnsafeMutablePointer<CChar>? { PluginText.all }

@c @implementation public func martlet_free(_ text: UnsafeMutablePointer<CChar>?) { free(text) }

extension Run {
  /// The run behind a pointer of the caller's.
  fileprivate static func of(_ pointer: OpaquePointer?) -> Run? {
    guard let pointer else { return nil }
    // Safe: what `open` gave, until `martlet_close`.
    return Unmanaged<Run>.fromOpaque(UnsafeRawPointer(pointer)).takeUnretainedValue()
  }
}
