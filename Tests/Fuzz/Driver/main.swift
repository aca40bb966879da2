// The fuzzer's program: one executable, the target is the first argument. Tests/Fuzz/fuzz.sh builds and runs it.
//
//     martlet-fuzz TARGET [libFuzzer's arguments]        martlet-fuzz seeds FOLDER CAPTURE…
import Foundation
import FuzzTargets

/// libFuzzer's loop.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<Int32>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ target: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// What is fuzzed; set once before the loop.
nonisolated(unsafe) var chosenTarget = FuzzTarget.dissector

let words = CommandLine.arguments
if words.count > 3, words[1] == "seeds" {
  try Seeds.write(to: words[2], captures: Array(words[3...]))
  exit(0)
}
guard words.count > 1, let target = FuzzTarget(rawValue: words[1]) else {
  let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: " ")
  print("martlet-fuzz: name a target: \(names)")
  exit(64)
}
chosenTarget = target
// libFuzzer sees the arguments without the target's name.
var count = CommandLine.argc - 1
var arguments = CommandLine.unsafeArgv + 1
arguments[0] = CommandLine.unsafeArgv[0]
exit(
  runDriver(&count, &arguments) { data, size in
    if let problem = chosenTarget.run(UnsafeRawBufferPointer(start: data, count: size)) {
      FileHandle.standardError.write(Data("FUZZ \(chosenTarget.rawValue): \(problem)\n".utf8))
      abort()
    }
    return 0
  })
