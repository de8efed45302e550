module numapool.example/squares

go 1.19
