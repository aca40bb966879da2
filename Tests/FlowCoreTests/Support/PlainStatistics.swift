// The statistical plugins once more, from their definitions alone: whole arrays, two passes, double precision.

import IPFIXDecoding
import Wire

@testable import FlowCore

/// What a plugin should export for one flow's packets, in order of arrival; nil where it has nothing to export.
enum PlainStatistics {
  // MARK: pstats

  static func sequence(
    _ packets: [TestPacket], includesEmpty: Bool = false, limit: Int = 30, microseconds: Bool = false
  ) -> Record? {
    guard packets.count > 1 || packets[0].flags & 2 == 0 || packets[0].protocolNumber != 6 else { return nil }
    let noted = packets.filter { !$0.payload.isEmpty || includesEmpty }.prefix(limit)
    return [
      "cesnet:packetLength": .numbers(noted.map(\.payload.count)),
      microseconds ? "martlet:packetTimeMicroseconds" : "cesnet:packetTime": .times(noted.map(\.time)),
      "cesnet:packetFlag": .numbers(noted.map { $0.protocolNumber == 6 ? Int($0.flags) : 0 }),
      "cesnet:packetDirection": .numbers(noted.map { $0.isForward ? 1 : -1 }),
    ]
  }

  // MARK: phists

  static func histograms(_ packets: [TestPacket], includesEmpty: Bool = false) -> Record? {
    guard packets.count > 1 || packets[0].flags & 2 == 0 || packets[0].protocolNumber != 6 else { return nil }
    func histogram(_ values: [Int]) -> FieldValue {
      let bounds = [16, 32, 64, 128, 256, 512, 1024]
      return .numbers(
        (0..<8).map { bin in values.count { value in bounds.count { $0 <= value } == bin } })
    }
    func gaps(_ packets: [TestPacket]) -> [Int] {
      let times = packets.map { Int($0.time / 1_000_000) }
      return zip(times, times.dropFirst()).map { max(0, $1 - $0) }
    }
    let noted = packets.filter { !$0.payload.isEmpty || includesEmpty }
    let (forward, reverse) = (noted.filter(\.isForward), noted.filter { !$0.isForward })
    return [
      "cesnet:phistSrcSizes": histogram(forward.map(\.payload.count)),
      "cesnet:phistDstSizes": histogram(reverse.map(\.payload.count)),
      "cesnet:phistSrcInterPacketTime": histogram(gaps(forward)),
      "cesnet:phistDstInterPacketTime": histogram(gaps(reverse)),
    ]
  }

  // MARK: bstats

  static func bursts(_ packets: [TestPacket]) -> Record? {
    guard packets.count > 3 else { return nil }
    var record: Record = [:]
    for (name, isForward) in [("Src", true), ("Dst", false)] {
      var runs: [[TestPacket]] = []
      for packet in packets where packet.isForward == isForward && !packet.payload.isEmpty {
        if let last = runs.last?.last, Int(packet.time) - Int(last.time) < 1_000_000_000 {
          runs[runs.count - 1].append(packet)
        } else {
          runs.append([packet])
        }
      }
      let bursts = runs.filter { $0.count >= 3 }.prefix(15)
      record["cesnet:burst\(name)Packets"] = .numbers(bursts.map(\.count))
      record["cesnet:burst\(name)Bytes"] = .numbers(bursts.map { $0.map(\.payload.count).reduce(0, +) })
      record["cesnet:burst\(name)TimeStart"] = .times(bursts.map { $0[0].time })
      record["cesnet:burst\(name)TimeStop"] = .times(bursts.map { $0.last!.time })
    }
    return record
  }

  // MARK: nettisa

  static func timeSeries(_ packets: [TestPacket]) -> Record? {
    guard packets.count > 1 else { return nil }
    func mean(_ values: some Collection<Double>) -> Double {
      values.isEmpty ? 0 : values.reduce(0, +) / Double(values.count)
    }
    let count = Double(packets.count)
    let lengths = packets.map { Double($0.payload.count) }
    let times = packets.map { Double($0.time / 1000) - Double(packets[0].time / 1000) }
    let gaps = [0] + zip(times, times.dropFirst()).map { max(0, $1 - $0) }
    let frames = packets.map(\.frame.wire)
    let center = mean(lengths)
    let deviation = mean(lengths.map { ($0 - center) * ($0 - center) }).squareRoot()
    let fourth = mean(lengths.map { ($0 - center) * ($0 - center) * ($0 - center) * ($0 - center) })
    let distances = lengths.indices.map { abs(lengths[$0] - mean(lengths[..<$0])) }
    let gapDistances = gaps.indices.map { abs(mean(gaps[...$0]) - gaps[$0]) }
    let values: [String: Double] = [
      "MeanPacketPayload": center,
      "MinPacketPayload": lengths.min()!,
      "MaxPacketPayload": lengths.max()!,
      "StdevPacketPayload": deviation,
      "KurtosisPacketPayload": deviation > 0 ? fourth / (deviation * deviation * deviation * deviation) : 0,
      "RootMeanSquarePacketPayload": mean(lengths.map { $0 * $0 }).squareRoot(),
      "AverageDispersionPacketPayload": mean(distances),
      "MeanScaledTime": mean(times),
      "MeanDifftimes": mean(gaps),
      "MinDifftimes": gaps.min()!,
      "MaxDifftimes": gaps.max()!,
      "TimeDistribution": gaps.max()! > 0
        ? gapDistances.reduce(0, +) / (count - 1) / (gaps.max()! - gaps.min()!) : 0,
      "SwitchingRatio": (1 + Double(zip(frames, frames.dropFirst()).count { $0 != $1 })) / count,
    ]
    return Dictionary(uniqueKeysWithValues: values.map { ("cesnet:nts\($0)", .number($1)) })
  }
}
