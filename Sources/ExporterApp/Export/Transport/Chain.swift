// A queue of objects that hold on to each other: an array would move them all at each removal.

/// What can be in a chain, in one at a time.
protocol ChainLink: AnyObject {
  /// The one behind it; the chain's alone.
  var next: Self? { get set }
}

/// Objects in a queue, the oldest first. Each change takes constant time.
struct Chain<Link: ChainLink>: ~Copyable {
  private(set) var first: Link?
  private var last: Link?
  private(set) var count = 0

  /// Nothing is in it.
  init() {}

  // One by one: a chain that lets go of its first link would go down it, a call for each.
  deinit {
    var link = first
    while let here = link {
      link = here.next
      here.next = nil
    }
  }

  /// Adds an object behind the last one.
  mutating func append(_ link: Link) {
    if let last { last.next = link } else { first = link }
    last = link
    count &+= 1
  }

  /// Takes the oldest object out; nil when there is none.
  mutating func removeFirst() -> Link? {
    guard let link = first else { return nil }
    first = link.next
    link.next = nil
    if first == nil { last = nil }
    count &-= 1
    return link
  }

  /// Lets go of all objects.
  mutating func removeAll() { while removeFirst() != nil {} }
}
