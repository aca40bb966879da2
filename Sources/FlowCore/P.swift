import CIntrinsics
public func now() -> UInt64 { martlet_cycles() }
public func matches(_ p: UnsafeRawPointer, _ s: UInt16) -> UInt32 { martlet_match_signatures(p, s) }
@_lifetime(copy a)
public func f(_ a: RawSpan) -> RawSpan { a.extracting(first: 3) }

