// Features' expressions, by hand: what they are compiled to, and what is none.
import Testing

@testable import FlowCore

@Suite("expressions of features")
struct FeatureExpressionTests {
  /// The value of an expression in which `a` is 6, `b` is 4, and `l` is a list of 2, 3, 5.
  private func value(_ text: String) throws -> Double {
    let expression = try FeatureExpression(text)
    var stack: [Double] = []
    var deepest = 0
    for step in expression.steps {
      switch step {
      case .operand(let operand):
        switch operand.part {
        case .value: stack.append(operand.field == "a" ? 6 : 4)
        case .entry(let index): stack.append([2, 3, 5][index])
        case .count: stack.append(3)
        }
      case .constant(let number): stack.append(number)
      case .operation(let operation):
        let second = operation.operands == 2 ? stack.removeLast() : 0
        stack.append(operation.result(stack.removeLast(), second))
      }
      deepest = max(deepest, stack.count)
    }
    #expect(stack.count == 1)
    #expect(deepest == expression.depth)
    return stack[0]
  }

  @Test(arguments: [
    ("a", 6.0), ("a + b * 2", 14), ("(a + b) * 2", 20), ("a - b - 1", 1), ("a / b / 2", 0.75), ("-a + 1", -5),
    ("--a", 6),
    ("l[2]", 5), ("count(l) * l[0]", 6), ("min(a, b)", 4), ("max(a, b)", 6), ("clip(a, 1, 5)", 5),
    ("clip(a, 7, 9)", 7),
    ("abs(b - a)", 2), ("sqrt(b)", 2), ("log1p(0)", 0), ("1.5e1", 15), (" a+ b ", 10),
    ("min(a, max(b, 5)) - 1", 4),
  ])
  func arithmetic(text: String, expected: Double) throws {
    #expect(try value(text) == expected)
  }

  @Test(arguments: [
    "min(a, 0 / 0)", "max(0 / 0, a)", "clip(0 / 0, 1, 2)", "log1p(-2)", "sqrt(-1)", "a + 0 / 0",
  ])
  func noNumber(text: String) throws {
    #expect(try value(text).isNaN)
  }

  @Test(arguments: [
    "", "a b", "a +", "(a", "a)", "l[", "l[]", "l[x]", "l[1024]", "l[-1]", "exp(a)", "min(a)", "min(a, b, 1)",
    "clip(a, 1)",
    "1.2.3", "1e", "a $ b", "é", String(repeating: "(", count: 100) + "a",
    String(repeating: "a+", count: 40) + "a",
    String(repeating: "a", count: 600), String(repeating: "-", count: 600) + "a",
  ])
  func isNone(text: String) {
    #expect(throws: ModelError.self) { try FeatureExpression(text) }
  }
}
