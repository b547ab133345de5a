// Asks why the page's socket does not open, for as long as it does not: a browser is not told.
import { useEffect, useState } from "react";

const PAUSE = 10000; // milliseconds between two looks

export function Unreached({ failing, url, otherwise }) {
  const [words, setWords] = useState("");
  useEffect(() => {
    setWords("");
    if (!failing) return;
    let gone = false;
    let looks = 0;
    const look = async () => {
      const asked = `${url}?page=${encodeURIComponent(window.location.origin)}`;
      const answer = await fetch(asked, { credentials: "omit" }).catch(() => null);
      const { error } = answer?.status === 400 ? await window.vibeDoor.read(answer) : {};
      // At the first look a server that is just back may answer before the socket is tried again.
      const alone = answer?.status === 204 && looks++ > 0 ? otherwise : "";
      if (!gone) setWords(error ?? alone);
    };
    look();
    const timer = window.setInterval(look, PAUSE);
    return () => {
      gone = true;
      window.clearInterval(timer);
    };
  }, [failing, url, otherwise]);
  return words ? (
    <p className="v-front" role="alert">
      {words}
    </p>
  ) : null;
}
