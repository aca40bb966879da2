// What a model wants to know of a flow, as its file says it: a field, an entry of a list, or something computed from these by a
// few functions whose results are the same everywhere. Compiled into steps, which workers take.
import CModels
import Glibc

/// What a feature takes from a record.
struct FeatureOperand: Hashable, Sendable {
  /// Which part of the field.
  enum Part: Hashable, Sendable {
    /// All of it: a number or a time.
    case value
    /// An entry of a list, from 0.
    case entry(Int)
    /// How many entries a list has.
    case count
  }

  /// The field's short name.
  var field: String
  var part: Part
}

/// One step of a feature's computation, on a stack of numbers.
enum FeatureStep: Equatable, Sendable {
  case operand(FeatureOperand)
  case constant(Double)
  case operation(FeatureOperation)
}

/// What is done with the numbers on top of the stack.
enum FeatureOperation: UInt8, BitwiseCopyable, Sendable {
  case load, constant, add, subtract, multiply, divide, negate, log1p, squareRoot, absolute, minimum, maximum

  /// How many numbers it takes.
  var operands: Int {
    switch self {
    case .load, .constant: 0
    case .negate, .log1p, .squareRoot, .absolute: 1
    case .add, .subtract, .multiply, .divide, .minimum, .maximum: 2
    }
  }

  /// The result for one number, or for two. A number that is not there (NaN) makes the result one, too.
  @inline(__always)
  func result(_ first: Double, _ second: Double) -> Double {
    switch self {
    case .add: first + second
    case .subtract: first - second
    case .multiply: first * second
    case .divide: first / second
    case .negate: -first
    case .log1p: Glibc.log1p(first)
    case .squareRoot: first.squareRoot()
    case .absolute: abs(first)
    case .minimum: first.isNaN || second.isNaN ? .nan : first < second ? first : second
    case .maximum: first.isNaN || second.isNaN ? .nan : first > second ? first : second
    case .load, .constant: first
    }
  }
}

/// A feature's expression.
///
///     sum      = product { ("+" | "-") product }
///     product  = unary { ("*" | "/") unary }
///     unary    = "-" unary | NUMBER | NAME | NAME "[" NUMBER "]" | "(" sum ")" | FUNCTION "(" sum { "," sum } ")"
struct FeatureExpression: Sendable {
  private(set) var steps: [FeatureStep] = []
  /// How many numbers lie on the stack at most.
  private(set) var depth = 0
  private var height = 0
  private var rest: Substring.UnicodeScalarView
  private var nesting = 0
  private let text: String

  static let mostSteps = MARTLET_FEATURE_PARTS
  private static let deepest = MARTLET_FEATURE_BRACKETS
  static let longest = MARTLET_FEATURE_OCTETS
  /// The largest index of an entry.
  static let largestIndex = MARTLET_FEATURE_INDEX

  /// - Throws: the text is no expression.
  init(_ text: String) throws(ModelError) {
    self.text = text
    rest = text.prefix(Self.longest + 1).unicodeScalars
    guard text.utf8.count <= Self.longest else { throw wrong("is longer than \(Self.longest) octets") }
    try sum()
    guard peek() == nil else { throw wrong("goes on behind its end") }
  }

  private func wrong(_ what: String) -> ModelError {
    ModelError(reason: "feature '\(text.prefix(60))' \(what)")
  }

  // MARK: Words

  private mutating func peek() -> Unicode.Scalar? {
    while rest.first == " " { rest.removeFirst() }
    return rest.first
  }

  private mutating func skip(_ sign: Unicode.Scalar) -> Bool {
    guard peek() == sign else { return false }
    rest.removeFirst()
    return true
  }

  private mutating func expect(_ sign: Unicode.Scalar) throws(ModelError) {
    guard skip(sign) else { throw wrong("lacks a '\(sign)'") }
  }

  private mutating func word(_ isPart: (Unicode.Scalar) -> Bool) -> String {
    var word = String.UnicodeScalarView()
    while let next = rest.first, isPart(next) { word.append(rest.removeFirst()) }
    return String(word)
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isAlphabetic && scalar.isASCII || scalar == "_"
  }
  private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }

  // MARK: Grammar

  private mutating func add(_ step: FeatureStep, operands: Int = 0) throws(ModelError) {
    steps.append(step)
    guard steps.count <= Self.mostSteps else { throw wrong("has more than \(Self.mostSteps) parts") }
    height += 1 - operands
    depth = max(depth, height)
  }

  private mutating func add(_ operation: FeatureOperation) throws(ModelError) {
    try add(.operation(operation), operands: operation.operands)
  }

  private mutating func sum() throws(ModelError) {
    nesting += 1
    defer { nesting -= 1 }
    guard nesting <= Self.deepest else { throw wrong("has too many brackets in each other") }
    try product()
    while true {
      if skip("+") {
        try product()
        try add(.add)
      } else if skip("-") {
        try product()
        try add(.subtract)
      } else {
        return
      }
    }
  }

  private mutating func product() throws(ModelError) {
    try unary()
    while true {
      if skip("*") {
        try unary()
        try add(.multiply)
      } else if skip("/") {
        try unary()
        try add(.divide)
      } else {
        return
      }
    }
  }

  private mutating func unary() throws(ModelError) {
    var isNegative = false
    while skip("-") { isNegative.toggle() }
    guard let next = peek() else { throw wrong("ends where a field or a number is expected") }
    if skip("(") {
      try sum()
      try expect(")")
    } else if Self.isDigit(next) {
      try add(.constant(try number()))
    } else if Self.isLetter(next) {
      let name = word { Self.isLetter($0) || Self.isDigit($0) }
      if skip("(") { try call(name) } else { try field(name) }
    } else {
      throw wrong("has a '\(next)' where a field or a number is expected")
    }
    if isNegative { try add(.negate) }
  }

  private mutating func number() throws(ModelError) -> Double {
    var digits = word { Self.isDigit($0) || $0 == "." }
    if let sign = rest.first, sign == "e" || sign == "E" {
      rest.removeFirst()
      digits += "e" + word { $0 == "+" || $0 == "-" } + word(Self.isDigit)
    }
    guard let number = Double(digits), number.isFinite else { throw wrong("has a wrong number '\(digits)'") }
    return number
  }

  private mutating func field(_ name: String) throws(ModelError) {
    guard skip("[") else { return try add(.operand(FeatureOperand(field: name, part: .value))) }
    _ = peek()
    guard let index = Int(word(Self.isDigit)), index <= Self.largestIndex else {
      throw wrong("has an index that is no number from 0 to \(Self.largestIndex)")
    }
    try expect("]")
    try add(.operand(FeatureOperand(field: name, part: .entry(index))))
  }

  private mutating func call(_ name: String) throws(ModelError) {
    switch name {
    case "count":
      _ = peek()
      let list = word { Self.isLetter($0) || Self.isDigit($0) }
      try add(.operand(FeatureOperand(field: list, part: .count)))
    case "log1p": try arguments([.log1p])
    case "sqrt": try arguments([.squareRoot])
    case "abs": try arguments([.absolute])
    case "min": try arguments([nil, .minimum])
    case "max": try arguments([nil, .maximum])
    case "clip": try arguments([nil, .maximum, .minimum])
    default:
      throw wrong("calls '\(name)', which is none of log1p, sqrt, abs, min, max, clip, count")
    }
    try expect(")")
  }

  /// As many arguments as there are operations, each of which comes right behind its argument.
  private mutating func arguments(_ operations: [FeatureOperation?]) throws(ModelError) {
    for (index, operation) in operations.enumerated() {
      if index > 0 { try expect(",") }
      try sum()
      if let operation { try add(operation) }
    }
  }
}
