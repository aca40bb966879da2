// When the packets of a burst arrived, and how a device's ticks become nanoseconds: arithmetic done by hand, without EAL.
import FlowCore
import Testing

@testable import ExporterApp

@Suite struct ArrivalTimesTests {
  private let arrival = ArrivalTimes(burst: 32)

  /// The times of frames of these lengths when the last one was found at `now`.
  private func spread(_ lengths: [UInt32], now: UInt64, floor: UInt64 = 0, megabits: UInt32) -> [UInt64] {
    let octets = lengths.reduce(0) { $0 + UInt64($1) + 24 }
    frames(lengths) {
      arrival.spread(
        $0, count: lengths.count, octets: octets, now: now, floor: floor,
        octetPrice: PortClock.price(megabits: megabits))
    }
    return (0..<lengths.count).map { arrival.times[$0] }
  }

  private func frames(_ lengths: [UInt32], _ body: (UnsafePointer<Frame>) -> Void) {
    let byte: [UInt8] = [0]
    byte.withUnsafeBytes { bytes in
      let frames = lengths.map { Frame(bytes: bytes.baseAddress!, captured: 1, wire: $0) }
      frames.withUnsafeBufferPointer { body($0.baseAddress!) }
    }
  }

  /// The shortest frame takes 84 octets (64 with check sequence, 20 for preamble and gap): 67.2 ns at 10 Gb/s.
  @Test func shortestFramesAre84OctetsApart() {
    #expect(spread([60, 60, 60], now: 1_000_000, megabits: 10_000) == [999_864, 999_932, 1_000_000])
    #expect(spread([1, 42, 14], now: 1_000_000, megabits: 10_000) == [999_864, 999_932, 1_000_000])
    // 6.72 ns at 100 Gb/s, 672 ns at 1 Gb/s; a speed that is not known counts as 10 Gb/s.
    #expect(spread([60, 60], now: 1_000_000, megabits: 100_000) == [999_993, 1_000_000])
    #expect(spread([60, 60], now: 1_000_000, megabits: 1_000) == [999_328, 1_000_000])
    #expect(spread([60, 60], now: 1_000_000, megabits: 0) == [999_932, 1_000_000])
  }

  /// A packet came before the one behind it by what that one took: (1490 + 24) octets are 1211.2 ns at 10 Gb/s.
  @Test func lengthsOfThePacketsBehindCount() {
    #expect(spread([60, 1490], now: 10_000, megabits: 10_000) == [8_788, 10_000])
    #expect(spread([1490, 60], now: 10_000, megabits: 10_000) == [9_932, 10_000])
    #expect(spread([9000], now: 10_000, megabits: 10_000) == [10_000])
  }

  /// 32 frames of 68 ns are 2108 ns long, but the poll before was 1000 ns ago: each gets 31 ns.
  @Test func packetsNeverCameBeforeThePollBefore() {
    let times = spread(Array(repeating: 60, count: 32), now: 50_000, floor: 49_000, megabits: 10_000)
    #expect(times.first == 50_000 - 31 * 31)
    #expect(times.last == 50_000)
    for (before, after) in zip(times, times.dropFirst()) { #expect(after - before == 31) }
  }

  @Test func withoutTimeInBetweenAllPacketsHaveTheSame() {
    #expect(spread([60, 60, 60], now: 50_000, floor: 50_000, megabits: 10_000) == [50_000, 50_000, 50_000])
  }

  @Test(arguments: [10, 25_000, 400_000] as [UInt32])
  func timesAreInOrderAndInsideWhateverTheLengths(megabits: UInt32) {
    let lengths: [UInt32] = [60, 9000, .max, 0, 1514, 60, .max, 64]
    let times = spread(lengths, now: 5_000_000_000, floor: 4_000_000_000, megabits: megabits)
    #expect(times == times.sorted())
    #expect(times.first! >= 4_000_000_000 && times.last == 5_000_000_000)
  }

  /// What a device did not time came before the packet behind it, or before now.
  @Test func packetsWithoutATimeGetOneBetweenTheirNeighbours() {
    let price = PortClock.price(megabits: 10_000)
    func filled(_ given: [UInt64], floor: UInt64) -> [UInt64] {
      for (index, time) in given.enumerated() { arrival.times[index] = time }
      frames(Array(repeating: 60, count: given.count)) {
        arrival.fill($0, count: given.count, now: 10_000, floor: floor, octetPrice: price)
      }
      return (0..<given.count).map { arrival.times[$0] }
    }
    let none = DeviceClock.unknown
    #expect(filled([none, 5_000, none, none], floor: 4_000) == [4_932, 5_000, 9_932, 10_000])
    #expect(filled([none, 5_000, none, 7_000], floor: 4_950) == [4_950, 5_000, 6_932, 7_000])
    #expect(filled([9_990, none, none], floor: 0) == [9_990, 9_990, 10_000])
    // The packet behind it came in the first nanoseconds of 1970, as a replayed file may say: not in 2554.
    #expect(filled([none, 10], floor: 0) == [0, 10])
    #expect(filled([none, none, 70, none], floor: 0) == [0, 2, 70, 10_000])
  }
}

@Suite struct DeviceClockTests {
  /// 156.25 MHz: a tick is 6.4 ns.
  private let clock = DeviceClock(
    anchor: 1_700_000_000_000_000_000, anchorTicks: 5_000, scale: Int64(6.4 * 4_294_967_296))

  private func near(_ time: UInt64, _ expected: UInt64) -> Bool { time &- expected &+ 1 <= 2 }

  @Test func ticksBecomeNanoseconds() {
    #expect(clock.time(at: 5_000) == 1_700_000_000_000_000_000)
    #expect(near(clock.time(at: 5_010), 1_700_000_000_000_000_064))
    #expect(near(clock.time(at: 5_000 + 156_250_000), 1_700_000_001_000_000_000))
    // Before the anchor, as packets that wait while the control lcore compares the clocks.
    #expect(near(clock.time(at: 4_990), 1_699_999_999_999_999_936))
    let wrapped = DeviceClock(anchor: 1_000_000, anchorTicks: .max - 4, scale: 1 << 32)
    #expect(wrapped.time(at: 5) == 1_000_010)
  }

  @Test func onlyTimesOfTheLastSecondAreBelieved() {
    let clock = DeviceClock.nanoseconds
    let now: UInt64 = 1_700_000_000_000_000_000
    #expect(clock.believed(now, now: now) == now)
    #expect(clock.believed(now - 1_073_741_823, now: now) == now - 1_073_741_823)
    // Two clocks differ a little; no packet comes from the future.
    #expect(clock.believed(now + 999_999, now: now) == now)
    #expect(clock.believed(now + 1_000_000, now: now) == DeviceClock.unknown)
    #expect(clock.believed(now - 1_073_741_824, now: now) == DeviceClock.unknown)
    #expect(clock.believed(0, now: now) == DeviceClock.unknown)
    #expect(clock.believed(.max, now: now) == DeviceClock.unknown)
  }

  /// A device whose clock counts ticks, but whose packets carry nanoseconds since 1970.
  @Test func nanosecondsSince1970AreBelievedFromAnyDevice() {
    let now: UInt64 = 1_700_000_000_500_000_000
    #expect(clock.believed(now - 20_000, now: now) == now - 20_000)
    #expect(clock.believed(now + 20_000, now: now) == now)
  }

  @Test func timesOfFilesEndIn2540() {
    #expect(DeviceClock.microseconds.ofFile(1_700_000_000_123_456) == 1_700_000_000_123_456_000)
    #expect(DeviceClock.microseconds.ofFile(0) == 0)
    #expect(DeviceClock.microseconds.ofFile(18_000_000_000_000_000) == 18_000_000_000_000_000_000)
    #expect(DeviceClock.microseconds.ofFile(18_000_000_000_000_001) == DeviceClock.unknown)
    #expect(DeviceClock.microseconds.ofFile(.max) == DeviceClock.unknown)
    #expect(DeviceClock.nanoseconds.ofFile(1_700_000_000_123_456_789) == 1_700_000_000_123_456_789)
  }

  @Test func whatIsPublishedIsRead() {
    let shared = PortClock(megabits: 10_000)
    #expect(shared.octetPrice.load(ordering: .relaxed) == 52_429)  // 0.8 * 65536 = 52428.8
    shared.publish(clock)
    let (read, version) = shared.read()!
    #expect(read == clock && version == 2 && shared.version.load(ordering: .relaxed) == 2)
  }
}

@Suite struct DeviceCalibrationTests {
  /// A device of 156.25 MHz whose crystal is 20 ppm fast: 156,253,125 ticks a second.
  private func ticks(_ nanoseconds: UInt64) -> UInt64 { nanoseconds / 1000 * 156_253_125 / 1_000_000 }
  private let start: UInt64 = 1_700_000_000_000_000_000

  private func reading(_ passed: UInt64, step: UInt64 = 0) -> DeviceCalibration.Reading {
    .init(ticks: 77 + ticks(passed), system: start + passed + step)
  }

  @Test func theRateIsFoundAndKept() {
    var calibration = DeviceCalibration(reading(0))
    #expect(calibration.clock == nil)
    calibration.observe(reading(100_000_000))
    #expect(abs(calibration.hertz - 156_253_125) < 10)
    for second in 1...100 {
      let passed = UInt64(second) * 1_000_000_000
      let error = Int64(bitPattern: calibration.clock!.time(at: 77 + ticks(passed)) &- (start + passed))
      #expect(abs(error) < 100, "after \(second) s")
      calibration.observe(reading(passed))
    }
  }

  /// The system's clock runs 30 µs ahead: the difference is gone a second later, and no time goes back.
  @Test func differencesAreWorkedOffInASecond() {
    var calibration = DeviceCalibration(reading(0))
    calibration.observe(reading(100_000_000))
    for second in 1...40 { calibration.observe(reading(UInt64(second) * 1_000_000_000)) }
    let before = calibration.clock!.time(at: 77 + ticks(41_000_000_000))
    calibration.observe(reading(41_000_000_000, step: 30_000))
    #expect(calibration.clock!.time(at: 77 + ticks(41_000_000_000)) == before)
    let error = Int64(
      bitPattern: calibration.clock!.time(at: 77 + ticks(42_000_000_000)) &- (start + 42_000_000_000))
    #expect((28_000...33_000).contains(error))
  }

  @Test func aClockThatWasSetIsFollowedAtTheSameRate() {
    var calibration = DeviceCalibration(reading(0))
    calibration.observe(reading(100_000_000))
    calibration.observe(reading(1_000_000_000, step: 3_600_000_000_000))
    #expect(calibration.clock!.time(at: 77 + ticks(1_000_000_000)) == start + 3_601_000_000_000)
    #expect(abs(calibration.hertz - 156_253_125) < 10)
    let later = calibration.clock!.time(at: 77 + ticks(2_000_000_000))
    #expect(later &- (start + 3_602_000_000_000) &+ 100 <= 200)
  }

  @Test func aDeviceThatWasResetIsFollowed() {
    var calibration = DeviceCalibration(reading(0))
    calibration.observe(reading(100_000_000))
    calibration.observe(.init(ticks: 5, system: start + 1_000_000_000))
    #expect(calibration.clock!.time(at: 5) == start + 1_000_000_000)
  }

  @Test(arguments: [77, 177, UInt64.max] as [UInt64])
  func whatDoesNotRunIsNoClock(ticks: UInt64) {
    var calibration = DeviceCalibration(reading(0))
    calibration.observe(.init(ticks: ticks, system: start + 100_000_000))
    #expect(calibration.clock == nil && calibration.hertz == 0)
  }
}

@Suite struct PortTimesTests {
  private let nic = PortTimes(driver: "mlx5_pci", arguments: "", canTimestamp: true)
  private let plain = PortTimes(driver: "net_null", arguments: "", canTimestamp: false)
  private let replay = PortTimes(driver: "net_pcap", arguments: "rx_pcap=a.pcap", canTimestamp: false)
  private let endless = PortTimes(
    driver: "net_pcap", arguments: "rx_pcap=a.pcap,infinite_rx=1", canTimestamp: false)
  private let kernel = PortTimes(driver: "net_pcap", arguments: "rx_iface=eth0", canTimestamp: false)

  @Test func theDeviceIsUsedWhereItGivesTimesAndReplaysOnlyWhereThatIsAskedFor() throws {
    for (times, auto) in [
      (nic, TimeSource.device), (plain, .lcore), (replay, .lcore), (endless, .lcore), (kernel, .device),
    ] {
      #expect(try times.source(.auto, title: "port 0") == auto)
      #expect(try times.source(.tsc, title: "port 0") == .lcore)
    }
    #expect(try nic.source(.device, title: "port 0") == .device)
    #expect(try replay.source(.device, title: "port 0") == .file)
    #expect(try kernel.source(.device, title: "port 0") == .device)
    for times in [plain, endless] {
      let failure = #expect(throws: Failure.self) { try times.source(.device, title: "port 3 (it)") }
      #expect(failure?.status == 64)
      #expect(failure?.description.hasPrefix("port 3 (it) ") == true)
      #expect(failure?.description.contains("--clock tsc") == true)
    }
  }

  @Test func theLineSaysWhoseTimesTheyAre() {
    #expect(
      nic.description(.device, title: "port 0 (x)", megabits: 100_000, hertz: 156_250_000)
        == "port 0 (x): times of the device, whose clock of 156.250 MHz is compared with the system's every second"
    )
    #expect(replay.description(.file, title: "port 0 (x)", megabits: 0, hertz: 0).contains("of the file"))
    let line = plain.description(.lcore, title: "port 0 (x)", megabits: 0, hertz: 0)
    #expect(line.contains("10000 Mb/s (the link's speed is not known)") && line.contains("(TSC)"))
    #expect(
      plain.description(.lcore, title: "port 0 (x)", megabits: 25_000, hertz: 0).contains("at 25000 Mb/s"))
  }
}
