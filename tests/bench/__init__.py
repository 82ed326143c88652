"""What a picture costs on its way: imagegate beside the least that gRPC can do, and beside what people use today."""
