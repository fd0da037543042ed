console.error("something", 7);
setTimeout(() => { throw new Error("nobody catches this"); }, 0);
alert("ran");
setTimeout(() => {
  const done = document.createElement("p");
  done.id = "done";
  document.body.append(done);
}, 20);
