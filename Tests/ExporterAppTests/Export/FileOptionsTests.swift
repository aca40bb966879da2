// What `--export` says of how a file is written: its rotation, its names, its compressor.
import Glibc
import Testing

@testable import ExporterApp

@Suite struct FileOptionsTests {
  private static let hour: UInt64 = 3600

  @Test(
    "times and sizes of rotation",
    arguments: [
      ("300s", 300, nil), ("5min", 300, nil), ("1h", 3600, nil), ("2d", 172_800, nil),
      ("366d", 31_622_400, nil),
      ("4K", nil, 4096), ("100M", nil, 104_857_600), ("1G", nil, 1_073_741_824),
      ("2T", nil, 2_199_023_255_552),
      ("300s,1G", 300, 1_073_741_824), ("1G,300s", 300, 1_073_741_824),
    ] as [(String, UInt64?, Int?)])
  func rotation(_ text: String, _ interval: UInt64?, _ size: Int?) throws {
    let rotation = try FileRotation(text)
    #expect(rotation.interval == interval)
    #expect(rotation.size == size)
  }

  @Test("parameters given once and twice, and their defaults")
  func parameters() throws {
    let url = try ExportURL(parsing: "json:/tmp/%H.json.zst?rotate=300s&rotate=1G&compress=zstd")
    #expect(url.file.rotation == (try FileRotation("300s,1G")))
    #expect(url.file.compressionLevel == 3)
    #expect(url.file.pattern?.path == "/tmp/%H.json.zst")
    #expect(try ExportURL(parsing: "csv:x?compress=zstd&level=19").file.compressionLevel == 19)
    #expect(try ExportURL(parsing: "csv:-").file == FileOptions())
    #expect(try ExportURL(parsing: "csv:/tmp/50%/x").file == FileOptions(), "a folder's name is no pattern")
  }

  @Test(
    "parameters and names that say what is wrong",
    arguments: [
      ("json:x?rotate=", "neither a time"), ("json:x?rotate=0", "neither a time"),
      ("json:x?rotate=300", "300s"), ("json:x?rotate=s", "neither a time"),
      ("json:x?rotate=-1s", "neither a time"),
      ("json:x?rotate=1.5h", "neither a time"), ("json:x?rotate=300s,", "neither a time"),
      ("json:x?rotate=0s", "1s to 366d"), ("json:x?rotate=367d", "1s to 366d"),
      ("json:x?rotate=99999999999999999999s", "neither a time"),
      ("json:x?rotate=9999999999999999999d", "1s to 366d"),
      ("json:x?rotate=0K", "4K to 1024T"), ("json:x?rotate=3K", "4K to 1024T"),
      ("json:x?rotate=1025T", "4K to 1024T"), ("json:x?rotate=9999999999999999999T", "4K to 1024T"),
      ("json:x?rotate=5m", "5min or 5M"), ("json:x?rotate=1h,2h", "two times"),
      ("json:x?rotate=1G&rotate=2G", "two sizes"),
      ("json:x?compress=gzip", "none of zstd"), ("json:x?level=3", "compress=zstd"),
      ("json:x?compress=zstd&level=0", "from 1 to 19"), ("json:x?compress=zstd&level=20", "from 1 to 19"),
      ("json:x?compress=zstd&compress=zstd", "twice"),
      ("json:-?rotate=1h", "name a file"), ("json:-?compress=zstd", "pipe into zstd"),
      ("json:x%", "%% for '%'"), ("json:x-%Q", "'%Q' is no conversion"), ("json:x-%D", "'%D'"),
      ("json:x-%e", "'%e'"),
      ("json:x-%-d", "'%-'"), ("json:x-%é", "'%é'"), ("json:/tmp/?rotate=1h", "name a file in it"),
      ("json:/%Y/x?rotate=1h", "a folder"), ("udp://host?rotate=1h", "udp takes no parameter"),
    ])
  func wrong(_ argument: String, _ hint: String) {
    let error = #expect(throws: ExportURLError.self) { try ExportURL(parsing: argument) }
    #expect(error?.description.contains(hint) == true, "\(String(describing: error))")
    #expect(error?.description.contains("\n") == false)
  }

  // 2026-07-02 12:00 UTC: its year and month are the same everywhere.
  private static let noon: UInt64 = 1_782_993_600

  @Test(
    "names at a time, and with a number",
    arguments: [
      ("flows.json", "flows.json", "flows.2.json", ".flows.2.json.part"),
      (
        "/d/f-%Y%m.ipfix.zst", "/d/f-202607.ipfix.zst", "/d/f-202607.2.ipfix.zst",
        "/d/.f-202607.2.ipfix.zst.part"
      ),
      ("d/%s", "d/1782993600", "d/1782993600.2", "d/.1782993600.2.part"),
      ("%Y.%m.csv", "2026.07.csv", "2026.07.2.csv", ".2026.07.2.csv.part"),
      ("100%%.txt", "100%.txt", "100%.2.txt", ".100%.2.txt.part"),
      ("192.0.2.1-flows", "192.0.2.1-flows", "192.0.2.1-flows.2", ".192.0.2.1-flows.2.part"),
      (".json", ".json", ".json.2", "..json.2.part"),
    ])
  func names(_ path: String, _ first: String, _ second: String, _ temporary: String) throws {
    let pattern = try FilePattern(path)
    let stem = pattern.stem(at: Self.noon)
    #expect(pattern.path(stem, 0) == first)
    #expect(pattern.path(stem, 2) == second)
    #expect(pattern.temporaryPath(stem, 2) == temporary)
    let name = temporary.split(separator: "/").last.map(String.init) ?? ""
    #expect(pattern.isTemporary(name))
    #expect(!pattern.isTemporary(String(name.dropFirst())))
    #expect(!pattern.isTemporary(".other.txt"))
  }

  @Test("paths that no time changes")
  func fixedPaths() throws {
    #expect(try FilePattern("/a/b%%.json").fixedPath == "/a/b%.json")
    #expect(try FilePattern("/a/%%%H").fixedPath == nil)
  }

  @Test(
    "a file's time begins at a multiple of its interval, and is over when the clock passes its end or is set back"
  )
  func intervals() throws {
    let folder = try TemporaryFolder()
    var series = FileSeries(try FilePattern("\(folder.path)/%s"), try FileRotation("1h"))
    let now = (Self.noon + 1234) * 1_000_000_000
    let descriptor = try series.begin(now: now)
    defer { close(descriptor) }
    #expect(series.temporary == "\(folder.path)/.1782993600.part")
    #expect(series.end == (Self.noon + Self.hour) * 1_000_000_000)
    #expect(!series.isOver(now: now))
    #expect(!series.isOver(now: (Self.noon + Self.hour) * 1_000_000_000 - 1))
    #expect(series.isOver(now: (Self.noon + Self.hour) * 1_000_000_000))
    #expect(!series.isOver(now: (Self.noon - Self.hour) * 1_000_000_000))
    #expect(series.isOver(now: (Self.noon - Self.hour) * 1_000_000_000 - 1))
  }
}
