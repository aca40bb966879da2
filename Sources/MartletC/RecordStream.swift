// A run as a stream of the Arrow C stream interface.
import Arrow
import CArrow
import CMartlet
import Captures
import Glibc

/// What is behind an ArrowArrayStream, which its consumer uses on one thread at a time.
private final class StreamState {
  let run: Run
  /// The last call's error, there until the next call.
  var error: UnsafeMutablePointer<CChar>?

  init(_ run: Run) { self.run = run }

  deinit { free(error) }

  func fail(_ message: String?) {
    free(error)
    error = message.flatMap { strdup($0) }
  }
}

extension Run {
  /// Makes the stream, which keeps the run until it is released.
  func makeStream(in stream: UnsafeMutablePointer<ArrowArrayStream>) {
    stream.pointee.get_schema = { stream, schema in
      guard let state = StreamState.of(stream), let schema else { return EINVAL }
      let status = ArrowField.makeSchema(of: state.run.fields, in: schema)
      state.fail(status == 0 ? nil : errorText(status))
      return status
    }
    stream.pointee.get_next = { stream, array in
      guard let state = StreamState.of(stream), let array else { return EINVAL }
      array.pointee = ArrowArray()
      do throws(Failure) {
        if let batch = try state.run.next() {
          array.pointee = batch
          state.fail(nil)
          return 0
        }
      } catch {
        state.fail(error.description)
        return EAGAIN
      }
      // A released array is the end of the stream.
      let internalError = state.run.problems.last { $0.status == MARTLET_INTERNAL.rawValue }
      guard state.run.isCut || internalError != nil else {
        state.fail(nil)
        return 0
      }
      state.fail(internalError?.message ?? "stopped")
      return internalError == nil ? ECANCELED : ENOMEM
    }
    stream.pointee.get_last_error = { stream in StreamState.of(stream)?.error.map { UnsafePointer($0) } }
    stream.pointee.release = { stream in
      guard let stream, let context = stream.pointee.private_data else { return }
      stream.pointee.private_data = nil
      stream.pointee.release = nil
      // Safe: what `makeStream` put there, retained once.
      let state = Unmanaged<StreamState>.fromOpaque(context).takeRetainedValue()
      state.run.end()
    }
    // Safe: retained once here, and given back by `release`.
    stream.pointee.private_data = Unmanaged.passRetained(StreamState(self)).toOpaque()
  }
}

extension StreamState {
  /// What is behind a stream that was not released.
  fileprivate static func of(_ stream: UnsafeMutablePointer<ArrowArrayStream>?) -> StreamState? {
    guard let context = stream?.pointee.private_data else { return nil }
    // Safe: what `makeStream` put there, until it is released.
    return Unmanaged<StreamState>.fromOpaque(context).takeUnretainedValue()
  }
}
