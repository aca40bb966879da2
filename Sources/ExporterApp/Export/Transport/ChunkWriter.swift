// What the thread of a file does: chunks into the file whole, what to do when they do not go in, and when the next file
// begins.
import Glibc
import Wire

/// Writes chunks into a file.
///
/// What is in the file is whole: where a write took a part and the rest finds no room, the part is cut off again up to
/// the last whole line or message, and the rest is tried until there is room, or until the end. Of a compressed file, which
/// cannot be cut, what was not written stays in memory until it is.
///
/// Safe between threads: whoever makes it uses it no more once its thread runs, which has it alone.
final class ChunkWriter: @unchecked Sendable {
  private let channel: FileChannel
  private var file: OutputFile
  private var compressor: ZstdStream?
  private var complaint: Complaint
  /// Records in the file of a series.
  private var fileRecords = 0
  /// The last chunk that has something, for the heading of a file that gets no record.
  private var last: FileChunk

  /// A writer into an opened file; `heading` is for a file that ends before anything came.
  init(_ file: OutputFile, _ channel: FileChannel, compressionLevel: Int?, heading: SharedBytes)
    throws(ExportError)
  {
    self.channel = channel
    self.file = file
    last = FileChunk(SharedBytes(), header: heading, records: 0, units: GrowableList(capacity: 1))
    complaint = Complaint(name: file.path)
    guard let compressionLevel else { return }
    compressor = ZstdStream(level: compressionLevel)
    guard compressor != nil else { throw .cannotCompress(path: file.path) }
  }

  /// Writes what comes until the end.
  func run() {
    while true {
      if file.isOver { beginNext() }
      let (chunk, isEnd) = channel.next()
      if let chunk {
        if chunk.reopens { reopen() } else { write(chunk) }
        channel.finish(chunk)
      } else if isEnd {
        break
      } else {
        channel.waitForWork(until: file.end)
      }
    }
    complete()
    channel.end()
  }

  // Files.

  private func reopen() {
    guard file.series == nil else { return beginNext() }
    do throws(ExportError) {
      try file.reopen()
    } catch {
      // The old file stays open: better there than nowhere.
      complaint.say("\(error); the records go on into the file that was open before")
      channel.countError()
    }
  }

  /// Completes the file of a series and begins the next one; where that fails, the next chunk tries again.
  private func beginNext() {
    complete()
    do throws(ExportError) { try file.begin() } catch { _ = noteTrouble(error) }
  }

  /// Closes the file. One of a series gets its heading where it has nothing else, and its name.
  private func complete() {
    guard file.descriptor >= 0 else { return }
    guard file.series != nil else {
      do throws(ExportError) { try file.close() } catch { channel.fail(error) }
      return
    }
    if file.isDeleted { return forfeit(.deleted(path: file.path)) }
    if file.isFresh, !last.heading.isEmpty {
      write(FileChunk(SharedBytes(), header: last.heading, records: 0, units: GrowableList(capacity: 1)))
    }
    guard file.descriptor >= 0, endFrame() else { return forfeit(.incomplete(path: file.path)) }
    while true {
      do throws(ExportError) {
        try file.publish()
        channel.publish(lost: nil)
        fileRecords = 0
        return
      } catch {
        guard error.isForLackOfRoom, recovers(from: error) else { return forfeit(error) }
      }
    }
  }

  /// The file does not become complete: its records are lost, whatever is in it.
  private func forfeit(_ error: ExportError) {
    complaint.say("\(error); \(fileRecords) records are lost")
    channel.publish(lost: error)
    fileRecords = 0
    compressor?.restart()
    file.abandon()
  }

  /// Waits until there is a file to write to; false when time is over.
  private func opens() -> Bool {
    guard file.series != nil else { return waitForReader() }
    while !channel.isOver {
      do throws(ExportError) {
        try file.begin()
        return true
      } catch {
        guard recovers(from: error) else { return false }
      }
    }
    return false
  }

  /// Waits until somebody reads the FIFO or the socket; false when time is over.
  private func waitForReader() -> Bool {
    let start = Clock.monotonic()
    while !file.openFIFO() {
      guard !channel.isOver else { return false }
      if Clock.monotonic() &- start > 1_000_000_000 {
        complaint.say("nobody reads it; waiting for a reader")
        channel.noteWait("nobody reads \(file.path)")
      }
      usleep(20_000)
    }
    clearTrouble()
    return true
  }

  // Chunks.

  /// Writes a chunk, into several files where one is full, or counts what cannot be written.
  private func write(_ chunk: FileChunk) {
    // What stands in a file already, up to the end of a line or message.
    var kept = 0
    if channel.failure != nil { return lose(chunk, from: 0) }
    while true {
      guard file.descriptor >= 0 || opens() else { return lose(chunk, from: kept) }
      if file.isDeleted {
        forfeit(.deleted(path: file.path))
        continue
      }
      let needsHeader = file.isFresh || chunk.followsGap && !chunk.units.isEmpty
      let header = needsHeader ? chunk.header(at: kept) : SharedBytes()
      let end = reach(of: chunk, from: kept, behind: header.count)
      if end == kept, !chunk.bytes.isEmpty {
        beginNext()
        continue
      }
      let bytes = chunk.bytes(from: kept, to: end, behind: header)
      switch put(bytes) {
      case .done:
        file.isFresh = file.isFresh && bytes.isEmpty
        if !bytes.isEmpty { clearTrouble() }
        count(chunk, from: kept, to: end)
        kept = end
        if kept >= chunk.bytes.count {
          if last.heading.isEmpty || !chunk.bytes.isEmpty { last = chunk }
          return
        }
      case .stopped(let written, let error):
        let reached = kept &+ max(0, written &- header.count)
        let whole = written > header.count ? max(kept, chunk.boundary(within: reached)) : kept
        if file.kind == .regular {
          // What cannot be cut off stays, and what follows it is not whole.
          if file.cut(whole > kept ? reached &- whole : written), whole > kept { file.isFresh = false }
        } else if written > 0 {
          file.isFresh = false
        }
        if whole > kept {
          channel.count(octets: header.count &+ (whole &- kept))
          channel.noteProgress()
        }
        count(chunk, from: kept, to: whole)
        kept = whole
        if case .cannotWrite(_, EFBIG) = error, file.series != nil, fileRecords > 0 {
          beginNext()
          continue
        }
        guard recovers(from: error) else { return lose(chunk, from: kept) }
      case .broken(let error):
        forfeit(error)
        return lose(chunk, from: kept)
      }
    }
  }

  /// Where the part of a chunk ends that goes into this file: `kept` where it is full. A file has one record at least.
  private func reach(of chunk: FileChunk, from kept: Int, behind header: Int) -> Int {
    let all = chunk.bytes.count
    guard let limit = file.series?.rotation.size else { return all }
    guard compressor == nil else { return fileRecords > 0 && file.size >= limit ? kept : all }
    let room = limit &- file.size &- header
    if room >= all &- kept { return all }
    let whole = room > 0 ? chunk.boundary(within: kept &+ room) : 0
    if whole > kept { return whole }
    return fileRecords > 0 ? kept : chunk.boundary(behind: kept)
  }

  private enum Outcome {
    case done
    /// So many octets were written, all others were not; nil: time is over.
    case stopped(Int, ExportError?)
    /// The file cannot be completed any more.
    case broken(ExportError)
  }

  /// Writes bytes as they are, or what the compressor makes of them and does not keep for itself.
  private func put(_ bytes: SharedBytes) -> Outcome {
    guard compressor != nil else {
      let outcome = bytes.withBytes { writeAll($0) }
      if case .done = outcome { channel.count(octets: bytes.count) }
      return outcome
    }
    guard bytes.withBytes({ compressor?.add($0) ?? false }) else {
      return .broken(.cannotCompress(path: file.path))
    }
    return writeReady() ? .done : .broken(.incomplete(path: file.path))
  }

  /// Completes the frame of a compressed file; false when time is over.
  private func endFrame() -> Bool {
    guard compressor != nil else { return true }
    return (compressor?.end() ?? false) && writeReady()
  }

  /// Writes what the compressor has ready, waiting for room; false when time is over.
  private func writeReady() -> Bool {
    while let ready = compressor?.ready, ready.count > 0 {
      var written = ready.count
      var trouble: ExportError?
      var isDone = true
      if case .stopped(let count, let error) = writeAll(ready) {
        (written, trouble, isDone) = (count, error, false)
      }
      compressor?.removeReady(written)
      channel.count(octets: written)
      if written > 0, !isDone { channel.noteProgress() }
      if !isDone, !recovers(from: trouble) { return false }
    }
    return true
  }

  private func writeAll(_ bytes: Bytes) -> Outcome {
    var offset = 0
    while offset < bytes.count {
      let rest = bytes.dropFirst(offset)
      let count = Glibc.write(file.descriptor, rest.base, rest.count)
      let code = errno
      if count > 0 {
        offset &+= count
        continue
      }
      if count == 0 || code == EAGAIN {
        guard !channel.isOver else { return .stopped(offset, nil) }
        var waiting = pollfd(fd: file.descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&waiting, 1, 100)
      } else if code == EPIPE || code == ECONNRESET {
        return .stopped(offset, .readerGone(path: file.path))
      } else if code != EINTR {
        return .stopped(offset, .cannotWrite(path: file.path, code: code))
      }
    }
    return .done
  }

  // Trouble.

  /// Notes trouble and waits a moment; false when this chunk is given up.
  private func recovers(from error: ExportError?) -> Bool {
    guard let error else { return false }
    if case .readerGone = error {
      let isRepeated = channel.noteTrouble(error)
      if file.mayLoseReader {
        channel.fail(error)
        return false
      }
      complaint.say("\(error); waiting for another reader")
      file.closeFIFO()
      if isRepeated { usleep(200_000) }
    } else if file.kind == .regular {
      if noteTrouble(error) { usleep(200_000) }
    } else {
      // A device, or standard output that was closed: no hope.
      _ = channel.noteTrouble(error)
      complaint.say("\(error)")
      channel.fail(error)
      return false
    }
    return !channel.isOver
  }

  /// Notes and says trouble with a regular file; whether it is not the first time.
  private func noteTrouble(_ error: ExportError) -> Bool {
    complaint.say("\(error); trying again\(error.isForLackOfRoom ? " until there is room" : "")")
    return channel.noteTrouble(error)
  }

  private func clearTrouble() {
    if channel.clearTrouble() { complaint.resolve("goes on") }
  }

  private func count(_ chunk: FileChunk, from start: Int, to end: Int) {
    let (records, messages) = chunk.contents(from: start, to: end)
    channel.count(records: records, messages: messages, isPublished: file.series == nil)
    fileRecords &+= records
  }

  private func lose(_ chunk: FileChunk, from start: Int) {
    let records = chunk.contents(from: start, to: chunk.bytes.count).records
    let isNobodys = file.mayLoseReader && channel.failure == .readerGone(path: file.path)
    channel.lose(records, isNobodys: isNobodys)
  }
}
