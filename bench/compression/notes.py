"""Plucked notes with overtones, vibrato and breath, as mono WAV of 16 bits at 16,000 a second.

    python3 notes.py OUT.wav SECONDS SEED

The same words give the same bytes; another seed plays another tune. Needs Python alone.
"""

import math
import random
import struct
import sys
import wave

RATE = 16_000


def note(chance, length):
    """A note of so many samples: overtones that die away, the higher ones faster."""
    pitch = 110.0 * 2 ** (chance.choice([0, 2, 4, 5, 7, 9, 11, 12, 14, 16, 19, 24]) / 12)
    parts = [(k, chance.uniform(0.3, 1.0) / k**1.3, chance.uniform(0, 2 * math.pi)) for k in range(1, 9)]
    loud, fall, shake = chance.uniform(0.15, 0.5), chance.uniform(1.5, 5.0), chance.uniform(0, 0.004)
    for place in range(length):
        t = place / RATE
        phase = 2 * math.pi * pitch * (t + shake / (2 * math.pi * 5) * math.sin(2 * math.pi * 5 * t))
        tone = sum(a * math.exp(-fall * k * t / 2) * math.sin(k * phase + p) for k, a, p in parts if k * pitch < 7000)
        yield loud * min(1.0, t * 200) * (tone / 2 + 0.01 * math.exp(-fall * t) * chance.gauss(0, 1))


def main(out, seconds, seed):
    chance, samples = random.Random(int(seed)), []
    while len(samples) < RATE * int(seconds):
        samples.extend(note(chance, int(RATE * chance.choice([0.2, 0.3, 0.4, 0.6]))))
    samples = [max(-32768, min(32767, round(30_000 * s))) for s in samples[: RATE * int(seconds)]]
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))


if __name__ == "__main__":
    main(*sys.argv[1:])
