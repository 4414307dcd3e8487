package worker

// transport is what the bytes of a Conn pass between its socket and its session: a record
// layer. A connection without one is plain, and its transport nil. wrapped.go uses it. (What
// a connection of Streams passes is another matter: streampassage.go.)
//
//	socket ──raw──► decode ──plain──► Data, EOF, Read
//	socket ◄──raw── reply ◄──┘
//	socket ◄──raw── encode ◄──plain── Write, Writev, SendFile
//	socket ◄──raw── finish ◄───────── CloseWrite, Close; FIN follows
//
// Who calls: the loop's goroutine alone. The transport is made, or thawed, before Open,
// and belongs to that one connection.
//
// It computes, and no more: no system call, no waiting, no goroutine, no clock. What it
// is given belongs to the caller, and it keeps no reference to that after the call; what
// it returns of its own memory is valid until the next call.
//
// Order: the caller sends what encode, finish and reply give in the order of the calls,
// each byte once, and hands on what decode gives likewise.
//
// Bounds: what decode leaves is at most maxUnit bytes. decode gives no more plain bytes
// than it has used raw ones, since they take their place. encode and finish add a few
// bytes for each unit, of which the transport chooses the size. What it keeps for
// itself does not grow with what passes.
type transport interface {
	// decode takes what has come. raw begins with what decode left the time before.
	// With eof the peer's socket has finished: raw is what was left, and nothing follows.
	decode(raw []byte, eof bool) decoded
	// encode appends to dst what is to be sent for all of plain, and returns dst.
	encode(dst, plain []byte) []byte
	// finish appends to dst what tells the peer that nothing more comes, and returns
	// dst. The second time it appends nothing. No encode follows; a decode may follow,
	// and gives no reply any more.
	finish(dst []byte) []byte
	// freeze appends to dst all that another worker needs to go on, and returns dst.
	// It changes nothing: the connection may go on here.
	freeze(dst []byte) []byte
	// fault says why nothing can be encoded any more, or nil. Then the connection ends.
	fault() error
}

// decoded is what decode has made of some input.
type decoded struct {
	used  int    // bytes of raw; the rest is a unit that is not whole
	plain []byte // for the session; it may be raw's own memory, of the bytes used
	reply []byte // to be sent, before anything that is encoded later
	end   bool   // the peer has said that nothing more comes; what follows does not count
	err   error  // the end of the connection, once plain is consumed and reply sent
}

// maxUnit bounds what a transport may leave of its input. A record of TLS takes
// 18,437 bytes at most (RFC 5246, section 6.2.3).
const maxUnit = 20 << 10
