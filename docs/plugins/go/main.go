// A provider in Go that draws the rings that your prompt decides: ./rings HOST:PORT
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"net"
	"os"
	"rings/pb"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

type rings struct{ pb.UnimplementedImagesServer }

func (rings) GenerateImages(ctx context.Context, r *pb.GenerateImagesRequest) (*pb.GenerateImagesResponse, error) {
	side, answer, seed := 256, &pb.GenerateImagesResponse{Model: "rings"}, int(crc32.ChecksumIEEE([]byte(r.Prompt)))
	fmt.Sscanf(r.GetSize(), "%d", &side)
	square := r.Size == nil || r.GetSize() == fmt.Sprintf("%dx%d", side, side)
	taken := &pb.GenerateImagesRequest{Prompt: r.Prompt, Model: r.Model, N: r.N, Size: r.Size, ResponseFormat: r.ResponseFormat}
	if r.Model != nil && r.GetModel() != "rings" {
		return nil, status.Error(codes.NotFound, "There is no model but rings.")
	} else if !proto.Equal(r, taken) || r.Prompt == "" || !square || side < 16 || side > 1024 || r.GetN() > 4 {
		return nil, status.Error(codes.InvalidArgument, "Taken are a prompt, n to 4, and size: a square of 16 to 1024.")
	}
	for i := 0; i < max(int(r.GetN()), 1) && ctx.Err() == nil; i++ {
		answer.Data = append(answer.Data, &pb.Image{B64Json: proto.String(draw(seed+i, side))})
	}
	return answer, status.FromContextError(ctx.Err()).Err() // of a caller who has gone, or whose time is over
}

func draw(seed, side int) string {
	picture, file := image.NewGray(image.Rect(0, 0, side, side)), &bytes.Buffer{}
	for i := range picture.Pix {
		x, y := i%side-side/2, i/side-side/2
		picture.Pix[i] = uint8(seed + (seed%13+4)*(x*x+y*y)/side)
	}
	png.Encode(file, picture) // never fails in memory
	return base64.StdEncoding.EncodeToString(file.Bytes())
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	pb.RegisterImagesServer(server, rings{})
	fmt.Println("Ready on", listener.Addr())
	panic(server.Serve(listener))
}
