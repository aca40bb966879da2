// Which packets a run looks at, while it goes on: a settings file that is read again may have another filter, other samples, or
// both, which take effect together.
import Captures
import FlowCore

/// The filter and the sampling of a live run.
struct ReplaceableSelection: ReplaceablePart {
  /// Gives them to the workers.
  let owner: SelectionOwner
  /// Has collectors told of them.
  let statement: SelectionStatement

  var options: Set<String> { ["filter", "sample"] }

  func replace(by configuration: RunConfiguration) throws(Failure) {
    var program: FilterProgram?
    if let expression = configuration.filter { program = try FilterProgram(expression) }
    owner.replaceAndSay(filter: program, sampling: configuration.sampling)
    statement.replace(by: configuration)
  }
}

extension SelectionOwner {
  /// As `replace`; says how the filter runs.
  func replaceAndSay(filter program: FilterProgram?, sampling: Sampling) {
    guard let method = replace(filter: program, sampling: sampling), let program else { return }
    logger.info("filter '\(program.expression)': \(method.rawValue)")
  }
}
