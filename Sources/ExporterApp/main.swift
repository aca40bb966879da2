// Martlet's first page: which life to lead, and how a failure ends it.
import Glibc

do throws(Failure) {
  Signals.ignoreUseless()
  try StandardDescriptors.prepare()
  CrashReport.install()
  switch try Invocation(Array(CommandLine.arguments.dropFirst())) {
  case .answer(let text): try Console.answer(text)
  case .top(let settings): try Top.run(settings)
  case .offline(let configuration):
    try Console.configure(configuration.log)
    try Offline.run(configuration)
  case .live(let eal, let configuration):
    try Console.configure(configuration.log)
    try Live.run(eal: eal, configuration)
  }
} catch {
  logger.error("\(error.description)")
  exit(error.status)
}
