// swift-tools-version: 6.2
// Martlet's targets, from the bottom up: Wire (readers of bytes), Kafka (its producer), IPFIX (the protocol), Rendering
// (text) and Arrow (record batches), which know no flows; FlowCore (bytes in, flow records out, needs no EAL), Captures (files
// into FlowCore), and beside each other ExporterApp (EAL, ports, lcores, outputs, command line) and MartletC (the library).
// DPDK's flags come from pkg-config, because SwiftPM cannot parse libdpdk.pc itself.
import Foundation
import PackageDescription

/// Runs pkg-config and splits its answer into words; empty where libdpdk is not installed, so that
/// `swift package describe` still works and the build's own error names the missing header.
func pkgConfig(_ arguments: String...) -> [String] {
  let process = Process()
  let output = Pipe()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["pkg-config"] + arguments
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  guard (try? process.run()) != nil else { return [] }
  let data = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  return String(decoding: data, as: UTF8.self).split(whereSeparator: \.isWhitespace).map(String.init)
}

/// `MARTLET_MARCH`: `native` for the fastest build, `x86-64-v3` for valgrind 3.19; the default is what
/// Debian's DPDK was built for.
let dpdkFlags = pkgConfig("--cflags", "libdpdk")
let march =
  Context.environment["MARTLET_MARCH"].map { "-march=\($0)" }
  ?? dpdkFlags.first { $0.hasPrefix("-march=") } ?? "-march=corei7"
let dpdkIncludes = dpdkFlags.filter { $0.hasPrefix("-I/usr/include/dpdk") }
let clangFlags = [march] + dpdkIncludes + ["-include", "rte_config.h"]
let plainFlags = [march]

let strict: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableExperimentalFeature("Lifetimes"),
  .treatAllWarnings(as: .error),
]

let crossModule = SwiftSetting.unsafeFlags(["-cross-module-optimization"], .when(configuration: .release))

/// Release binaries have Swift's runtime in them, so that they run where no Swift is installed. The modules of
/// FoundationEssentials, which ArgumentParser imports, name the two libraries below it only to who compiles for that.
let staticRuntime = LinkerSetting.unsafeFlags(
  ["-static-stdlib", "-use-ld=lld", "-l_FoundationCShims", "-l_FoundationCollections"],
  .when(configuration: .release))

/// The library shows the functions of martlet.h alone, and has in it what these need alone.
let libraryExports = LinkerSetting.unsafeFlags(
  [
    "-Xlinker", "--version-script=\(Context.packageDirectory)/packaging/libmartlet.map", "-Xlinker",
    "--gc-sections",
  ],
  .when(configuration: .release))

/// DPDK's libraries, of which the binary names those that it uses: EAL loads drivers, and they what they need, by itself.
let dpdkLibraries =
  ["--as-needed"] + pkgConfig("--libs", "libdpdk").filter { $0.hasPrefix("-l") || $0.hasPrefix("-L") }

func withFlags(_ flags: [String]) -> SwiftSetting { .unsafeFlags(flags.flatMap { ["-Xcc", $0] }) }

let package = Package(
  name: "martlet",
  products: [
    .executable(name: "martlet", targets: ["ExporterApp"]),
    .library(name: "martlet-c", type: .dynamic, targets: ["MartletC"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
  ],
  targets: [
    .target(name: "CIntrinsics", cSettings: [.unsafeFlags(plainFlags)]),
    .systemLibrary(name: "CPcap", pkgConfig: "libpcap", providers: [.apt(["libpcap-dev"])]),
    .systemLibrary(name: "CKafka", pkgConfig: "rdkafka", providers: [.apt(["librdkafka-dev"])]),
    .systemLibrary(name: "CDigest", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CTLS", pkgConfig: "libssl", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CHTTP", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
    .systemLibrary(name: "CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(name: "CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(name: "CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CMaxMind", pkgConfig: "libmaxminddb", providers: [.apt(["libmaxminddb-dev"])]),
    .target(name: "CSockets"),
    .target(name: "CModels", cSettings: [.unsafeFlags(plainFlags)]),
    .target(name: "CCrash", dependencies: ["CIntrinsics"], cSettings: [.unsafeFlags(plainFlags)]),
    .target(name: "CDPDK", cSettings: [.unsafeFlags(clangFlags)]),
    .target(
      name: "Wire", dependencies: ["CIntrinsics", "CDigest"],
      swiftSettings: strict + [withFlags(plainFlags), crossModule]),
    .target(
      name: "Kafka", dependencies: ["Wire", "CKafka"],
      swiftSettings: strict + [withFlags(plainFlags), crossModule]),
    .target(
      name: "IPFIX", dependencies: ["Wire"], swiftSettings: strict + [withFlags(plainFlags), crossModule]),
    .target(
      name: "Rendering", dependencies: ["Wire", "IPFIX"],
      swiftSettings: strict + [withFlags(plainFlags), crossModule]),
    .target(name: "CArrow"),
    .target(
      name: "Arrow", dependencies: ["Wire", "IPFIX", "Rendering", "CArrow"],
      swiftSettings: strict + [withFlags(plainFlags), crossModule]),
    .target(
      name: "FlowCore", dependencies: ["Wire", "IPFIX", "Rendering", "Arrow", "CIntrinsics", "CModels"],
      swiftSettings: strict + [withFlags(plainFlags), crossModule]),
    .target(
      name: "Captures", dependencies: ["FlowCore", "CPcap", "CIntrinsics", "CPipes"],
      swiftSettings: strict + [withFlags(plainFlags), crossModule]),
    .target(name: "CNoDevices"),
    .target(name: "CPipes"),
    .systemLibrary(name: "CMartlet", path: "Sources/MartletC/include"),
    .target(
      name: "MartletC",
      dependencies: [
        "Captures", "FlowCore", "Arrow", "Rendering", "IPFIX", "CArrow", "CMartlet", "CNoDevices", "CPipes",
      ],
      exclude: ["include"],
      swiftSettings: strict + [withFlags(plainFlags), crossModule],
      linkerSettings: [staticRuntime, libraryExports]),
    .executableTarget(
      name: "ExporterApp",
      dependencies: [
        "Captures", "FlowCore", "Rendering", "IPFIX", "Kafka", "Wire", "CIntrinsics", "CDPDK", "CPcap",
        "CSockets",
        "CTLS",
        "CLZ4", "CZstd", "CSeccomp", "CHTTP", "CYAML", "CMaxMind",
        "CCrash",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict + [withFlags(clangFlags), crossModule],
      linkerSettings: [
        .unsafeFlags(dpdkLibraries.flatMap { ["-Xlinker", $0] }), staticRuntime,
      ]),
    .target(
      name: "CEngine", path: "Benchmarks/EngineBench/CEngine",
      cSettings: [.unsafeFlags(plainFlags + ["-O3"])]),
    .executableTarget(
      name: "engine-bench",
      dependencies: [
        "FlowCore", "CEngine", "CIntrinsics",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Benchmarks/EngineBench", exclude: ["CEngine"],
      swiftSettings: strict + [withFlags(plainFlags)]),
    .executableTarget(
      name: "export-bench", dependencies: ["FlowCore", "Rendering", "IPFIX", "Kafka", "Wire", "CSockets"],
      path: "Benchmarks/ExportBench",
      swiftSettings: strict + [withFlags(plainFlags)]),
    .target(name: "TestSupport", path: "Tests/Support", swiftSettings: strict),
    .target(
      name: "QUICSealing", dependencies: ["Wire", "CDigest"], path: "Tests/QUICSealing",
      swiftSettings: strict + [withFlags(plainFlags)]),
    .target(
      name: "IPFIXDecoding", dependencies: ["IPFIX"], path: "Tests/IPFIXDecoding", swiftSettings: strict),
    .testTarget(
      name: "IPFIXTests",
      dependencies: [
        "Wire", "Rendering", "Arrow", "IPFIX", "IPFIXDecoding", "TestSupport", "CArrow", "CIntrinsics",
      ],
      swiftSettings: strict + [withFlags(plainFlags)]),
    .testTarget(
      name: "FlowCoreTests",
      dependencies: [
        "FlowCore", "Rendering", "IPFIX", "IPFIXDecoding", "Wire", "CPcap", "TestSupport", "QUICSealing",
      ],
      swiftSettings: strict + [withFlags(plainFlags)]),
    .target(
      name: "CaptureReader", dependencies: ["Captures", "FlowCore"], path: "Tests/Fuzz/Reader",
      swiftSettings: strict + [withFlags(plainFlags)]),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "FlowCore", "Arrow", "Rendering", "IPFIX", "IPFIXDecoding", "Wire", "CaptureReader", "QUICSealing",
        "CArrow", "CIntrinsics",
      ],
      path: "Tests/Fuzz/Targets",
      swiftSettings: strict + [withFlags(plainFlags)]),
    .testTarget(
      name: "FuzzReplayTests", dependencies: ["FuzzTargets"], path: "Tests/Fuzz/Replay",
      swiftSettings: strict + [withFlags(plainFlags)]),
    .testTarget(
      name: "ExporterAppTests",
      dependencies: [
        "ExporterApp", "Captures", "FlowCore", "Rendering", "IPFIX", "IPFIXDecoding", "Kafka", "Wire",
        "CCrash",
        "CIntrinsics", "CZstd",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: strict + [withFlags(clangFlags)]),
  ],
  swiftLanguageModes: [.v6]
)

/// `MARTLET_FUZZ` names libFuzzer's runtime (Tests/Fuzz/fuzz.sh sets it): then there is the fuzzer, too.
if let fuzzer = Context.environment["MARTLET_FUZZ"] {
  package.targets.append(
    .executableTarget(
      name: "martlet-fuzz", dependencies: ["FuzzTargets", "CaptureReader", "FlowCore"],
      path: "Tests/Fuzz/Driver",
      swiftSettings: strict + [withFlags(plainFlags)],
      linkerSettings: [.unsafeFlags(["-Xlinker", fuzzer, "-lstdc++"])]))
}
