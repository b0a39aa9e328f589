//! How fast the codec is on the record that there is most of, an answer, beside the reference
//! implementation in the same run. The target is 1,000,000 a second a core, each way.

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use quiz_schemas::codec::FRAME_BYTES;
use quiz_schemas::events::{AnswerSubmitted, AnswersRecord};
use quiz_schemas::quiz::{Picks, Response};
use quiz_schemas::{Codec, Event, GameId, PlayerId, SubmissionId};
use std::hint::black_box;

const RECORDS: u64 = 1_000;

fn spread(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn answers(response: impl Fn(u64) -> Response) -> Vec<AnswersRecord> {
    let answer = |n| AnswersRecord {
        game: GameId::from_bits(spread(7)),
        lane: 3,
        body: AnswerSubmitted {
            question: 11,
            player: PlayerId::from_bits(spread(n)),
            submission: SubmissionId::from_bits(spread(n + RECORDS)),
            response: response(n),
            received_at_us: 1_790_000_000_000_000 + n as i64,
            elapsed_us: 1_000_000 + n as i64 * 8_191,
            edge: "edge-1".into(),
        }
        .into(),
    };
    (0..RECORDS).map(answer).collect()
}

fn encode(c: &mut Criterion, name: &str, records: &[AnswersRecord]) {
    let mut group = c.benchmark_group(format!("encode {name}"));
    group.throughput(Throughput::Elements(RECORDS));
    let codec = Codec::with_fixed_ids();
    let mut out = Vec::with_capacity(256);
    group.bench_function("codec", |b| {
        b.iter(|| {
            for record in records {
                out.clear();
                codec.encode_into(record, &mut out).expect("it encodes");
                black_box(&out);
            }
        });
    });
    let schema = apache_avro::Schema::parse_str(AnswersRecord::TOPIC.spec().schema).expect("it parses");
    let writer = GenericDatumWriter::builder(&schema).build().expect("the schema is whole");
    group.bench_function("apache-avro", |b| {
        b.iter(|| {
            for record in records {
                out.clear();
                writer.write_ser(&mut out, record).expect("it encodes");
                black_box(&out);
            }
        });
    });
    group.finish();
}

fn decode(c: &mut Criterion, name: &str, records: &[AnswersRecord]) {
    let mut group = c.benchmark_group(format!("decode {name}"));
    group.throughput(Throughput::Elements(RECORDS));
    let codec = Codec::with_fixed_ids();
    let values: Vec<Vec<u8>> = records.iter().map(|record| codec.encode(record).expect("it encodes")).collect();
    group.bench_function("codec", |b| {
        b.iter(|| {
            for value in &values {
                black_box(codec.decode::<AnswersRecord>(value).expect("it decodes"));
            }
        });
    });
    let schema = apache_avro::Schema::parse_str(AnswersRecord::TOPIC.spec().schema).expect("it parses");
    // Its way into our types wants each one named as in the schema; into its own values it reads all.
    let reader = GenericDatumReader::builder(&schema).build().expect("the schema is whole");
    group.bench_function("apache-avro", |b| {
        b.iter(|| {
            for value in &values {
                let mut datum = &value[FRAME_BYTES..];
                black_box(reader.read_value(&mut datum).expect("it decodes"));
            }
        });
    });
    group.finish();
}

fn codec(c: &mut Criterion) {
    let picks = answers(|n| Response::Picks(Picks::one((n % 4) as u8)));
    let texts = answers(|n| Response::Text(format!("an answer {n}")));
    for (name, records) in [("picks", &picks), ("text", &texts)] {
        encode(c, name, records);
        decode(c, name, records);
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
