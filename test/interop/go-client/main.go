// A client and a server of the Open Inference Protocol on grpc-go, with nothing of the mesh in them.
//
//	go-client serve ADDRESS                      answers every method until its standard input ends; prints the bound address
//	go-client call [flags] ADDRESS               makes calls and prints one line of JSON: how many ended with which status
//
// Messages are written by hand with protowire, so no generated code is needed.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	service     = "/inference.GRPCInferenceService/"
	modelInfer  = service + "ModelInfer"
	mostMessage = 64 << 20
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
		serve(os.Args[2])
		return
	}
	if len(os.Args) > 2 && os.Args[1] == "call" {
		call(os.Args[2:])
		return
	}
	fmt.Fprintln(os.Stderr, "usage: go-client serve ADDRESS | go-client call [flags] ADDRESS")
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

func answer(_ any, stream grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(stream)
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

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
