package worker_test

import (
	"net"
	"testing"

	"github.com/usher-go/usher/worker"
)

// garbling has each worker of newRig pass its connections' bytes through a transport
// that garbles them, and each client undo it. Tests with rigs do not run in parallel.
var garbling bool

// ungarbled returns a client's connection as the test is to use it.
func ungarbled(conn net.Conn) net.Conn {
	switch {
	case garbling:
		return worker.NewGarbledPeer(conn, true)
	case sealing != nil:
		return newSealedClient(conn, sealing.client)
	}
	return conn
}

// ways are the tests of each way that bytes go between a peer and a session.
var ways = []wayTest{
	{"odd fragments", TestEchoOfOddFragments},
	{"bytes of all values", TestBytesOfAllValues},
	{"unix socket", TestUnixSocket},
	{"any way is the same", TestAnyWayIsTheSame},

	{"unconsumed input", TestUnconsumedInputComesAgain},
	{"input limit", TestUnconsumedInputLimit},
	{"error from Data", TestDataErrorClosesAfterFlushing},
	{"pause", TestPauseAndResume},
	{"pause in one call", TestPauseAndResumeInOneCall},
	{"pause, reset", TestPausedConnectionIsReset},
	{"firehose", TestFirehoseStarvesNobody},
	{"framing", TestFramingAnswersTheLastLineLater},

	{"partial writes", TestPartialWrites},
	{"Writev", TestWritevKeepsOrder},
	{"alternating writes", TestAlternatingWrites},
	{"high water", TestHighWaterPausesInput},
	{"slow reader", TestOutputOfASlowReader},
	{"reset with output", TestResetWithOutputPending},
	{"nothing", TestWriteOfNothing},
	{"output bound", TestWritesOfOneCallbackAreBounded},
	{"memory", TestMemoryIsGivenBack},

	{"SendFile", TestSendFile},
	{"SendFile holds input", TestSendFileHoldsInput},
	{"SendFile refuses", TestSendFileErrors},
	{"SendFile is bounded", TestSendFileIsBounded},
	{"SendFile is cut", TestSendFileIsCut},

	{"end with data before it", TestDataBeforeEndOfFileIsDelivered},
	{"end before the worker has it", TestDataSentBeforeTheWorkerHasTheConnection},
	{"end without EOF", TestEndOfFileWithoutEOFFlushesAndCloses},
	{"writing after the end", TestWriteAfterEndOfFile},
	{"error from EOF", TestErrorFromEOFClosesAfterFlushing},
	{"CloseWrite", TestCloseWriteThenRead},
	{"both finish", TestBothFinish},
	{"Close with unread input", TestCloseWithUnreadInput},
	{"lingering is bounded", TestLingerIsBounded},
	{"lingering ends", TestLingerEnds},
	{"Abort", TestAbortResets},
	{"panics", TestPanics},
	{"Open greets", TestOpenGreets},
	{"Open ends", TestOpenEnds},
	{"Go", TestGo},
	{"Go and move", TestGoAndMove},
	{"Post", TestPost},
	{"idle timeout", TestIdleTimeoutOfOneConnection},
	{"deadlines", TestDeadlines},
	{"flushing is bounded", TestFlushIsBounded},

	{"move without state", TestMoveWithoutState},
	{"move with state", TestMoveWithState},
	{"move half closed", TestMoveKeepsHalfClosed},
	{"move that must wait", TestMoveWaitsForRoom},
	{"move large", TestMoveLarge},
	{"move with output", TestMoveWithOutput},
	{"drain", TestDrainAsksSessions},
	{"drain deadline", TestDrainDeadline},

	{"dial from session", TestDialFromSession},
	{"dial relays much", TestDialRelaysMuch},
}

// streamWays are those of the ways between a peer and a stream.
var streamWays = []wayTest{
	{"many streams", TestManyStreams},
	{"streams of one listener", TestByListener},
	{"HTTP", TestHTTP},
	{"HTTP, draining", TestHTTPDrain},
}

type wayTest struct {
	name string
	test func(t *testing.T)
}

// What is true of plain connections is true of those with a transport: the tests of
// each way that bytes go, once more, with each byte garbled by its position. One that
// bypassed the transport, or came twice or out of order, would not be understood.
func TestGarbled(t *testing.T) {
	before, thawedBefore := worker.Garblers()
	garbling = true
	defer func() { garbling = false }()
	for _, test := range ways {
		t.Run(test.name, func(t *testing.T) {
			before, _ := worker.Garblers()
			test.test(t)
			if made, _ := worker.Garblers(); made == before {
				t.Error("nothing was garbled")
			}
		})
	}
	made, thawed := worker.Garblers()
	t.Logf("%d transports made, %d thawed", made-before, thawed-thawedBefore)
}
