export default function readings() {
  return kv.collection("readings").entries({ reverse: true, limit: 144 }).entries.map((e) => e.value);
}
