// What a model's file says: what the model is called, what it wants to know of a flow and what its scores mean. The object that
// computes them lies beside it.
import CModels
import Wire

/// Why a model cannot be used, in words that follow its file's name.
public struct ModelError: Error {
  public let reason: String
}

/// The manifest of a model, `NAME.model`.
public struct ModelManifest: Equatable, Sendable {
  public var name = ""
  public var version = ""
  /// What the outputs stand for, in order; none where the one output is a value. One output and two classes: the output is the
  /// second one's probability.
  public var classes: [String] = []
  /// The features in the order in which the object takes them, as `log1p(octetDeltaCount)`.
  public var features: [String] = []
  /// What stands for a feature without a value.
  public var missing = Double.nan
  /// Features are rounded to 32 bits, as the model's own program does before it compares them.
  public var roundsToFloat = false
  public var outputs = 0
  /// SHA-256 of the object, in lower-case hexadecimal.
  public var digest = ""
  /// Version of the object's interface.
  public var interface = 0

  /// The most octets of a manifest, and the most of what it lists. Texts of a record have to fit into a message.
  public static let largestFile = MARTLET_MODEL_MANIFEST
  static let mostFeatures = MARTLET_MODEL_FEATURES
  static let mostOutputs = MARTLET_MODEL_OUTPUTS
  static let longestText = MARTLET_MODEL_TEXT

  /// Reads a manifest.
  ///
  /// - Throws: it is no manifest, or one of another version, or it contradicts itself.
  public init(_ text: [UInt8]) throws(ModelError) {
    var reader = JSONReader(text, malformed: ModelError(reason: "is no manifest of a model in JSON"))
    var format = ""
    var formatVersion = 0
    try reader.expect("{")
    if !reader.skip("}") {
      repeat {
        let key = try reader.string()
        try reader.expect(":")
        switch key {
        case "format": format = try reader.string()
        case "formatVersion": formatVersion = try Self.number(&reader)
        case "interface": interface = try Self.number(&reader)
        case "name": name = try reader.string()
        case "version": version = try reader.string()
        case "classes": classes = try Self.texts(&reader, most: Self.mostOutputs)
        case "features": features = try Self.texts(&reader, most: Self.mostFeatures)
        case "missing": missing = try Self.missing(&reader)
        case "rounding": roundsToFloat = try Self.rounds(&reader)
        case "outputs": outputs = try Self.number(&reader)
        case "sha256": digest = try reader.string()
        default: try reader.skipValue()
        }
      } while reader.skip(",")
      try reader.expect("}")
    }
    guard reader.peek() == nil, format == "martlet-model" else { throw reader.malformed }
    guard formatVersion == 1 else {
      throw ModelError(reason: "is a manifest of version \(formatVersion); this martlet reads version 1")
    }
    try check()
  }

  private func check() throws(ModelError) {
    func refuse(_ reason: String) throws(ModelError) -> Never { throw ModelError(reason: reason) }
    if name.isEmpty { try refuse("names no model") }
    let texts = [name, version] + classes
    if let text = texts.first(where: { $0.utf8.count > Self.longestText }) {
      try refuse("has a text of more than \(Self.longestText) octets: '\(text.prefix(20))…'")
    }
    if texts.contains(where: { $0.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F } }) {
      try refuse("has control characters in a name")
    }
    if features.isEmpty { try refuse("lists no features") }
    if Set(classes).count < classes.count { try refuse("lists a class twice") }
    let fits = classes.isEmpty ? outputs == 1 : outputs == classes.count || outputs == 1 && classes.count == 2
    if !fits { try refuse("has \(outputs) outputs and \(classes.count) classes, which do not fit") }
    if digest.utf8.count != 64 { try refuse("has no SHA-256 of its object") }
  }

  // MARK: Values

  private static func number(_ reader: inout JSONReader<ModelError>) throws(ModelError) -> Int {
    guard let number = Int(try reader.word()), (0...Int(UInt16.max)).contains(number) else {
      throw reader.malformed
    }
    return number
  }

  /// A number that stands for what is not known, or null for NaN.
  private static func missing(_ reader: inout JSONReader<ModelError>) throws(ModelError) -> Double {
    let word = try reader.word()
    if word == "null" { return .nan }
    guard let number = Double(word), number.isFinite else { throw reader.malformed }
    return number
  }

  private static func rounds(_ reader: inout JSONReader<ModelError>) throws(ModelError) -> Bool {
    switch try reader.string() {
    case "float32": return true
    case "float64": return false
    default: throw ModelError(reason: "has a rounding that is neither float32 nor float64")
    }
  }

  private static func texts(_ reader: inout JSONReader<ModelError>, most: Int) throws(ModelError) -> [String]
  {
    var texts: [String] = []
    try reader.expect("[")
    if reader.skip("]") { return texts }
    repeat {
      guard texts.count < most else {
        throw ModelError(reason: "lists more than \(most) classes or features")
      }
      texts.append(try reader.string())
    } while reader.skip(",")
    try reader.expect("]")
    return texts
  }

  public static func == (one: ModelManifest, other: ModelManifest) -> Bool {
    one.name == other.name && one.version == other.version && one.classes == other.classes
      && one.features == other.features && one.missing.bitPattern == other.missing.bitPattern
      && one.roundsToFloat == other.roundsToFloat && one.outputs == other.outputs
      && one.digest == other.digest && one.interface == other.interface
  }
}
