// A client and a server of the Open Inference Protocol on grpc-go, with nothing of the mesh in them.
//
//	go-client serve ADDRESS [EVERY]              answers every method until its standard input ends; prints the bound address.
//	                                             Of so many unary calls one fails, and another one is slow
//	go-client call [flags] ADDRESS               makes calls and prints one line of JSON: how many ended with which status
//	go-client exact [flags] ADDRESS              the same with calls of all kinds, whose answers are compared byte by byte
//
// Messages are written by hand with protowire, so no generated code is needed.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	service     = "/inference.GRPCInferenceService/"
	modelInfer  = service + "ModelInfer"
	mostMessage = 64 << 20
	// Answers with what it is sent, message by message.
	modelStreamInfer = service + "ModelStreamInfer"
)

// rawCodec passes messages on as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

func main() {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		if len(os.Args) > 3 {
			_, err := fmt.Sscan(os.Args[3], &every)
			fail(err)
		}
		serve(os.Args[2])
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "exact" {
		exact(os.Args[2:])
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "call" {
		call(os.Args[2:])
		return
	}
	fmt.Fprintln(os.Stderr, "usage: go-client serve ADDRESS [EVERY] | go-client call|exact [flags] ADDRESS")
	os.Exit(2)
}

// serve answers ModelInfer with the input as output, and every other method with field 1 = 1: live, ready, SERVING.
func serve(address string) {
	listener, err := net.Listen("tcp", address)
	fail(err)
	server := grpc.NewServer(
		grpc.ForceServerCodec(rawCodec{}),
		grpc.MaxRecvMsgSize(mostMessage),
		grpc.UnknownServiceHandler(answer),
	)
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	fail(server.Serve(listener))
}

// every is how many unary calls there are to one that fails, and to one that is slow; 0: none is either.
var every int64
var answered atomic.Int64

func answer(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
	if every > 0 && method == modelInfer {
		switch answered.Add(1) % every {
		case 0:
			return status.Error(codes.Unavailable, "one of so many")
		case every / 2:
			time.Sleep(200 * time.Millisecond)
		}
	}
	for {
		var request []byte
		err := stream.RecvMsg(&request)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		reply := []byte{0x08, 0x01}
		if method == modelInfer {
			reply = inferResponse(request)
		}
		if method == modelStreamInfer {
			reply = request
		}
		if err := stream.SendMsg(&reply); err != nil {
			return err
		}
	}
}

// inferResponse makes ModelInferResponse {model_name: 1, raw_output_contents: 6} of ModelInferRequest's 1 and 7.
func inferResponse(request []byte) []byte {
	reply := make([]byte, 0, len(request)+64)
	for len(request) > 0 {
		number, kind, tagged := protowire.ConsumeTag(request)
		if tagged < 0 {
			break
		}
		valued := protowire.ConsumeFieldValue(number, kind, request[tagged:])
		if valued < 0 {
			break
		}
		value := request[tagged : tagged+valued]
		switch number {
		case 1:
			reply = append(protowire.AppendTag(reply, 1, protowire.BytesType), value...)
		case 7:
			reply = append(protowire.AppendTag(reply, 6, protowire.BytesType), value...)
		}
		request = request[tagged+valued:]
	}
	return reply
}

// inferRequest makes ModelInferRequest for one FP32 input of `floats` zeros.
func inferRequest(model, input string, floats int) []byte {
	var shape []byte
	for _, size := range []int{1, floats} {
		shape = protowire.AppendVarint(shape, uint64(size))
	}
	var tensor []byte
	tensor = protowire.AppendString(protowire.AppendTag(tensor, 1, protowire.BytesType), input)
	tensor = protowire.AppendString(protowire.AppendTag(tensor, 2, protowire.BytesType), "FP32")
	tensor = protowire.AppendBytes(protowire.AppendTag(tensor, 3, protowire.BytesType), shape)
	var request []byte
	request = protowire.AppendString(protowire.AppendTag(request, 1, protowire.BytesType), model)
	request = protowire.AppendBytes(protowire.AppendTag(request, 5, protowire.BytesType), tensor)
	return protowire.AppendBytes(protowire.AppendTag(request, 7, protowire.BytesType), make([]byte, 4*floats))
}

// report is the one line that `call` prints.
type report struct {
	Calls   int            `json:"calls"`
	ByCode  map[string]int `json:"byCode"`
	Samples []string       `json:"samples"`
	Seconds float64        `json:"seconds"`
}

func call(args []string) {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	method := flags.String("method", modelInfer, "full name of a unary method")
	model := flags.String("model", "echo", "model to ask")
	input := flags.String("input", "input", "name of its input")
	floats := flags.Int("floats", 16, "floats in the input; methods other than ModelInfer are sent only the model's name")
	total := flags.Int("n", 1, "calls")
	width := flags.Int("c", 1, "calls in flight")
	within := flags.Duration("timeout", time.Minute, "deadline of each call")
	fail(flags.Parse(args))

	connection, err := grpc.NewClient(
		"passthrough:///"+flags.Arg(0),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(mostMessage)),
	)
	fail(err)
	request := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), *model)
	if *method == modelInfer {
		request = inferRequest(*model, *input, *floats)
	}

	result := report{ByCode: map[string]int{}, Samples: []string{}}
	var begun atomic.Int64
	var lock sync.Mutex
	var lanes sync.WaitGroup
	started := time.Now()
	for range *width {
		lanes.Add(1)
		go func() {
			defer lanes.Done()
			for begun.Add(1) <= int64(*total) {
				ctx, cancel := context.WithTimeout(context.Background(), *within)
				var reply []byte
				err := connection.Invoke(ctx, *method, &request, &reply)
				cancel()
				lock.Lock()
				result.Calls++
				result.ByCode[status.Code(err).String()]++
				if err != nil && len(result.Samples) < 3 {
					result.Samples = append(result.Samples, err.Error())
				}
				lock.Unlock()
			}
		}()
	}
	lanes.Wait()
	result.Seconds = time.Since(started).Seconds()
	fail(json.NewEncoder(os.Stdout).Encode(result))
}

// exactReport is what `exact` prints. Wrong are those that ended well with other bytes than they should.
type exactReport struct {
	report
	Wrong   int `json:"wrong"`
	Streams int `json:"streams"`
}

// exact makes calls of random sizes and bytes, one in four as a stream of messages and half of them compressed, until the time is over.
func exact(args []string) {
	flags := flag.NewFlagSet("exact", flag.ExitOnError)
	seconds := flags.Int("seconds", 10, "for how long calls are begun")
	width := flags.Int("c", 1, "calls in flight")
	channels := flags.Int("channels", 1, "connections")
	largest := flags.Int("largest", 300_000, "bytes of a message, at most")
	within := flags.Duration("timeout", time.Minute, "deadline of each call")
	seed := flags.Uint64("seed", 1, "of sizes, bytes and kinds")
	fail(flags.Parse(args))

	connections := make([]*grpc.ClientConn, *channels)
	for i := range connections {
		connection, err := grpc.NewClient(
			"passthrough:///"+flags.Arg(0),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(mostMessage)),
		)
		fail(err)
		connections[i] = connection
	}
	result := exactReport{report: report{ByCode: map[string]int{}, Samples: []string{}}}
	var lock sync.Mutex
	var lanes sync.WaitGroup
	started := time.Now()
	until := started.Add(time.Duration(*seconds) * time.Second)
	for lane := range *width {
		lanes.Add(1)
		go func() {
			defer lanes.Done()
			random := rand.New(rand.NewPCG(*seed, uint64(lane)))
			for time.Now().Before(until) {
				ctx, cancel := context.WithTimeout(context.Background(), *within)
				isStream := random.IntN(4) == 0
				options := []grpc.CallOption{}
				if random.IntN(2) == 0 {
					options = append(options, grpc.UseCompressor(gzip.Name))
				}
				run := exactUnary
				if isStream {
					run = exactStream
				}
				wrong, err := run(ctx, connections[lane%len(connections)], random, *largest, options)
				cancel()
				lock.Lock()
				result.Calls++
				if isStream {
					result.Streams++
				}
				result.ByCode[status.Code(err).String()]++
				if err != nil {
					wrong = err.Error()
				} else if wrong != "" {
					result.Wrong++
				}
				if wrong != "" && len(result.Samples) < 5 {
					result.Samples = append(result.Samples, wrong)
				}
				lock.Unlock()
			}
		}()
	}
	lanes.Wait()
	result.Seconds = time.Since(started).Seconds()
	fail(json.NewEncoder(os.Stdout).Encode(result))
}

// content is a request of ModelInfer with random bytes as its input. Small ones are the most frequent; half of the bytes are zero, so that
// compression has something to do.
func content(random *rand.Rand, largest int) []byte {
	size := random.IntN(largest + 1)
	if random.IntN(4) > 0 {
		size = random.IntN(min(largest, 4000) + 1)
	}
	raw := make([]byte, size)
	for i := range raw[:size/2] {
		raw[i] = byte(random.Uint32())
	}
	request := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "echo")
	return protowire.AppendBytes(protowire.AppendTag(request, 7, protowire.BytesType), raw)
}

// exactUnary says what is wrong with an answer; empty: nothing.
func exactUnary(ctx context.Context, connection *grpc.ClientConn, random *rand.Rand, largest int, options []grpc.CallOption) (string, error) {
	request := content(random, largest)
	var reply []byte
	if err := connection.Invoke(ctx, modelInfer, &request, &reply, options...); err != nil {
		return "", err
	}
	return difference(inferResponse(request), reply), nil
}

func exactStream(ctx context.Context, connection *grpc.ClientConn, random *rand.Rand, largest int, options []grpc.CallOption) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kind := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := connection.NewStream(ctx, kind, modelStreamInfer, options...)
	if err != nil {
		return "", err
	}
	messages := make([][]byte, 1+random.IntN(20))
	for i := range messages {
		messages[i] = content(random, largest/10)
	}
	go func() {
		for i := range messages {
			if stream.SendMsg(&messages[i]) != nil {
				return
			}
		}
		_ = stream.CloseSend()
	}()
	for i := 0; ; i++ {
		var reply []byte
		err := stream.RecvMsg(&reply)
		if err == io.EOF {
			if i < len(messages) {
				return fmt.Sprintf("%d of %d messages came", i, len(messages)), nil
			}
			return "", nil
		}
		if err != nil {
			return "", err
		}
		if i >= len(messages) {
			return "more messages than were sent", nil
		}
		if wrong := difference(messages[i], reply); wrong != "" {
			return fmt.Sprintf("message %d: %s", i, wrong), nil
		}
	}
}

func difference(expected, found []byte) string {
	if bytes.Equal(expected, found) {
		return ""
	}
	at := 0
	for at < min(len(expected), len(found)) && expected[at] == found[at] {
		at++
	}
	return fmt.Sprintf("%d bytes instead of %d, which differ from %d on", len(found), len(expected), at)
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
